"""Sessions in the console's own table, so that signing out ends them on the server too (Django's SESSION_ENGINE)."""

from typing import Any

from django.contrib.sessions.backends.db import SessionStore as InDatabase


class SessionStore(InDatabase):
    """Django's own, without its app: the table is the console's."""

    @classmethod
    def get_model_class(cls) -> Any:
        """Return the table's model."""
        from console_service.models import SignedIn

        return SignedIn
