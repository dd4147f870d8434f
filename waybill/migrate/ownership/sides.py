"""Sessions on both sides, with what a handover relies on."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from django.db import connections
from psycopg.conninfo import conninfo_to_dict

from waybill.database.postgres_client import DEFAULTS, connect_to_any_version

NAME: Final = "waybill migrate"
DJANGOS: Final = frozenset({"cursor_factory", "context"})  # how rows come, which is no matter of the connection
# What is given up here must not come back with a crash once it was taken there, so the commit is waited for.
RELIED_ON: Final = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local');
SET default_transaction_isolation = 'read committed';
SET lock_timeout = '2s';
SET statement_timeout = '60s';
"""
ALONE: Final = "SELECT pg_try_advisory_lock(hashtextextended('waybill_ownership ' || %s, 0))"


class Refused(Exception):
    """Nothing was begun; the message says what is to be done first."""


@dataclass(frozen=True, slots=True)
class Side:
    """A database by the name that messages give it, and a session in autocommit."""

    name: str
    session: psycopg.Connection[Any]


@contextmanager
def here(using: str) -> Generator[Side]:
    """Open a session beside Django's own. Raises OperationalError."""
    connections[using].close_if_unusable_or_obsolete()
    with connections[using].cursor() as cursor:
        cursor.execute("SHOW search_path")
        path = cursor.fetchone()[0]
    given = connections[using].get_connection_params()
    with _opened({name: value for name, value in given.items() if name not in DJANGOS}) as side:
        side.session.execute("SELECT set_config('search_path', %s, false)", [path])
        yield side


@contextmanager
def there(url: str) -> Generator[Side]:
    """Open a session on the other side. Raises OperationalError."""
    with _opened(conninfo_to_dict(url)) as side:
        yield side


def alone(session: psycopg.Connection[Any], source: str) -> None:
    """Keep other handovers of it away for as long as the session lasts. Raises Refused."""
    if not session.execute(ALONE, [source]).fetchall()[0][0]:
        raise Refused(f"{source}: another command is handing it over, or finishing it; `migrate status` shows how far")


@contextmanager
def _opened(given: Mapping[str, Any]) -> Generator[Side]:
    options = {**DEFAULTS, **given, "fallback_application_name": NAME}
    with connect_to_any_version(lambda known: psycopg.connect(**known, autocommit=True), options) as session:
        for statement in filter(str.strip, RELIED_ON.split(";")):
            session.execute(statement)
        info = session.info
        yield Side(f"database {info.dbname!r} on {info.host or 'this machine'}", session)
