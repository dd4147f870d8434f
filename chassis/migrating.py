"""Bring a database to this version's tables as their owner, and give the programs' roles their rights.

A statement that waits for a table's lock makes all wait who come after it. So each gives up after some seconds, which
undoes its migration, lets the others go first, and the migration is tried again. What is told in the end names who held
the lock: another session asks for that while this one waits.
"""

import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, Final, LiteralString

import psycopg
import structlog
from django.core.management import call_command
from django.db import OperationalError, connection
from psycopg import sql

from chassis.side_session import SideSession
from chassis.sqlstate import cause_of

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LOCK_SECONDS: Final = 3
ATTEMPTS: Final = 5
PAUSE_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.5
LOCK_TIMEOUT: Final = f"{LOCK_SECONDS}s"
REFUSED: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)

# Shows state and start only to a superuser, the same role, or a member of pg_read_all_stats.
HOLDERS: LiteralString = """
SELECT pid, application_name, usename, state, xact_start
FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids(%s)) ORDER BY pid
"""

# It waits for every transaction that is older, keeping nobody waiting meanwhile; cut off, it leaves an invalid index.
CONCURRENTLY: Final = re.compile(r"\b(CREATE|DROP|REINDEX)\b.*\bCONCURRENTLY\b", re.IGNORECASE | re.DOTALL)


class LockHeld(Exception):
    """A lock was not granted in any attempt; the message names who holds it, and what to do."""


def migrate(url: str, program: str, rights: Mapping[LiteralString, str | None]) -> None:
    """Apply what is missing, and `rights`: grants → role. Raises LockHeld, or what Django raises."""
    connection.ensure_connection()
    with _watched(SideSession(url, program), connection.connection.info.backend_pid) as holders:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with connection.execute_wrapper(_patient_where_concurrent):
                    call_command("migrate", verbosity=0, interactive=False)
                _grant(rights)
            except OperationalError as error:
                if not isinstance(cause_of(error), REFUSED):
                    raise
                if attempt == ATTEMPTS:
                    raise LockHeld(_message(holders)) from None
                log.warning("lock not granted", attempt=attempt, of=ATTEMPTS, held_by=holders)
                time.sleep(PAUSE_SECONDS)
            else:
                return


def _grant(rights: Mapping[LiteralString, str | None]) -> None:
    with connection.cursor() as cursor:
        for grants, role in rights.items():
            if role:
                database = sql.Identifier(connection.connection.info.dbname)
                statement = sql.SQL(grants).format(database=database, role=sql.Identifier(role))
                cursor.execute(statement.as_string(cursor.connection))


def _patient_where_concurrent(
    execute: Callable[..., Any], statement: Any, values: Any, many: bool, context: dict[str, Any]
) -> Any:
    if not CONCURRENTLY.search(str(statement)):
        return execute(statement, values, many, context)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0")
        try:
            return execute(statement, values, many, context)
        finally:
            cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")


@contextmanager
def _watched(session: SideSession, pid: int) -> Generator[list[str]]:
    """Keep in the list who holds, or held last, what the process waits for; each is logged when first seen."""
    holders: list[str] = []
    done = Event()

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            try:
                found = session.ask(lambda asked: asked.execute(HOLDERS, [pid]).fetchall())
            except (psycopg.Error, TimeoutError) as error:
                log.warning("cannot ask who holds the lock", reason=str(error))
                continue
            named = [_named(*holder) for holder in found]
            if named and named != holders:
                holders[:] = named
                log.warning("waiting for a lock", held_by=named)

    Thread(target=look, name="who holds the lock", daemon=True).start()
    try:
        yield holders
    finally:
        done.set()


def _named(pid: int, application: str, user: str, state: str | None, since: object) -> str:
    doing = f"{state} since {since}" if state else "state and start shown to members of pg_read_all_stats only"
    return f'process {pid} ("{application}", user {user}, {doing})'


def _message(holders: list[str]) -> str:
    held = f"held by {', '.join(holders)}" if holders else "the holder was gone before it could be named"
    remedy = "let it end, or end it by SELECT pg_terminate_backend(PROCESS), and migrate again"
    return f"a lock was not granted within {LOCK_SECONDS} s, {ATTEMPTS} times: {held}; {remedy}"
