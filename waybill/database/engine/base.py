"""The engine's wrapper, where Django looks for it."""

from typing import Any

from django.db.backends.postgresql import base

from waybill.database import postgres_client


class DatabaseWrapper(base.DatabaseWrapper):
    """Connect to servers of any supported version, with the password that the URL's file has by then."""

    def get_connection_params(self) -> dict[str, Any]:
        """Return what to connect with."""
        given = super().get_connection_params()
        url = self.settings_dict.get("URL")
        return given | (postgres_client.login(url) if url else {})

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect. Raises psycopg.Error."""
        return postgres_client.connect_to_any_version(super().get_new_connection, conn_params)
