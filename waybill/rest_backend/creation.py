"""Test databases: a service has its own. What empties one between tests, the project says.

DATABASES["reviews"]["TEST"] = {"RESET": "tests.services.empty_reviews"}
"""

from typing import Any

from django.core.management.base import CommandError
from django.db.backends.base.client import BaseDatabaseClient
from django.db.backends.base.creation import BaseDatabaseCreation
from django.utils.module_loading import import_string


class DatabaseCreation(BaseDatabaseCreation):
    """Create and destroy nothing; empty the service where, and only where, a test run is under way."""

    testing = False

    def create_test_db(  # pyright: ignore[reportIncompatibleMethodOverride] - the stubs have None for a bool
        self, verbosity: int = 1, autoclobber: bool = False, serialize: bool = True, keepdb: bool = False
    ) -> str:
        """Empty the test's service, where the project said how, and return its address."""
        self.testing = True
        self.reset()
        return str(self.connection.settings_dict["NAME"])

    def destroy_test_db(self, *_given: Any, **_named: Any) -> None:
        """Leave the service as it is."""
        self.testing = False

    def serialize_db_to_string(self) -> str:
        """Return no rows: the service has its own."""
        return "[]"

    def test_db_signature(self) -> tuple[Any, ...]:
        """Return what tells one service from another: two aliases may be one."""
        return (str(self.connection.settings_dict["NAME"]),)

    def reset(self) -> None:
        """Call TEST["RESET"] with the connection. Does nothing outside of tests: `flush` empties no service."""
        found = self.connection.settings_dict["TEST"].get("RESET")
        if self.testing and found is not None:
            (import_string(found) if isinstance(found, str) else found)(self.connection)


class DatabaseClient(BaseDatabaseClient):
    """There is no shell of a service."""

    executable_name = "curl"

    def runshell(self, parameters: Any) -> None:
        """Raise: a service has none."""
        raise CommandError("a service has no shell; ask it with curl")
