"""Whether a program can do its work: its database answers and has this version's tables. Kafka away is no reason."""

from functools import cache

from django.apps import apps
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader


@cache
def _expected() -> set[tuple[str, str]]:
    loader = MigrationLoader(None)
    return {key for key in loader.graph.leaf_nodes() if apps.is_installed(key[0]) or key[0] == "chassis"}


def database_ready() -> str | None:
    """Return None, or the reason why this program is not ready."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT app, name FROM django_migrations")
            missing = _expected() - set(cursor.fetchall())
    except Error as error:
        connection.close()
        return f"database: {str(error).strip().splitlines()[0]}"
    return f"migrations not applied: {sorted(missing)}; run `migrate`" if missing else None
