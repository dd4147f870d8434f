"""Whether a connection pooler, such as pgbouncer, stands before the server, and what a program then relies on.

A pooler in transaction mode hands each transaction to whichever server session is free. What belongs to a session
(settings, prepared statements, session advisory locks) is then gone at the next transaction, or somebody else's.

A program that was told of the pooler prepares nothing and sets nothing at a connection's start: the server must have
the settings already, by role, which is checked. One that was not told, or needs a session, refuses: the process id that
the start of a connection gave is the server's own, unless somebody stands between.
"""

from collections.abc import Mapping
from typing import Final

import psycopg

SETTING: Final = "WAYBILL_DATABASE_POOLED"
BETWEEN: Final = (
    f"a connection pooler stands before the server: for web, consumer and worker set {SETTING}=true and the role's "
    "settings (docs/settings.md, Connection poolers); relay, migrate, register and the outbox command need a URL that "
    "leads past it"
)
BACKEND: Final = "SELECT pg_backend_pid()"

# The server itself says how it writes each value; what is set here ends with the statement.
DIFFER: Final = """
SELECT name, found, meant
FROM (SELECT name, current_setting(name, true) AS found, set_config(name, value, true) AS meant
      FROM unnest(%s::text[], %s::text[]) AS relied_on (name, value)) AS compared
WHERE found IS DISTINCT FROM meant
"""
# By the version that the server tells at the start of a session.
SINCE: Final = {"transaction_timeout": 17_00_00}


class PoolerBetween(psycopg.OperationalError):
    """A pooler stands before the server, and the program needs a session of its own or was not told."""

    sqlstate = "0A000"  # feature not supported


class SettingsDiffer(psycopg.OperationalError):
    """Behind the pooler the sessions have other settings than the program relies on."""

    sqlstate = "0A000"


def check(connection: psycopg.Connection, relied_on: Mapping[str, str], *, pooled: bool) -> None:
    """Make sure of a new connection in autocommit that the program can work on it. Raises psycopg.Error."""
    if pooled:
        _check_settings(connection, relied_on)
        return
    row = connection.execute(BACKEND).fetchone()
    if row != (connection.info.backend_pid,):
        raise PoolerBetween(BETWEEN)


def _check_settings(connection: psycopg.Connection, relied_on: Mapping[str, str]) -> None:
    version = connection.info.server_version
    known = {name: value for name, value in relied_on.items() if version >= SINCE.get(name, 0)}
    differ = connection.execute(DIFFER, [list(known), list(known.values())]).fetchall()
    if differ:
        said = ", ".join(f"{name} is {found!r}, not {meant!r}" for name, found, meant in differ)
        raise SettingsDiffer(f"the server's sessions are not set as needed: {said}; ALTER ROLE … SET them ({SETTING})")
