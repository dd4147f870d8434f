"""Bring a database to this version's tables as their owner, and give the programs' roles their rights.

A statement that waits for a table's lock makes all wait who come after it. So each gives up after some seconds, which
undoes its migration, lets the others go first, and the migration is tried again. What is told in the end names who held
the lock.

While the code before still runs, only what it can live with may be migrated: `expand` leaves out every migration named
NNNN_contract_…, for a run of its own once that code is gone (docs/how-to/release-a-service.md).
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, LiteralString

import psycopg
import structlog
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from psycopg import sql

from waybill.database import lock_holders
from waybill.database.sqlstate import cause_of

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LOCK_SECONDS: Final = 3  # of one attempt: the longest that writers queue up behind it
ATTEMPTS: Final = 5  # then an operator must end who holds the lock
PAUSE_SECONDS: Final = 2.0  # in which those that queued up go first
LOCK_TIMEOUT: Final = f"{LOCK_SECONDS}s"
TRIED: Final = f"{LOCK_SECONDS} s, {ATTEMPTS} times"
# A deadlock too: the migration lost against a writer that took the tables in another sequence.
REFUSED: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)

# It waits for every transaction that is older, keeping nobody waiting meanwhile; cut off, it leaves an invalid index.
CONCURRENTLY: Final = re.compile(r"\b(CREATE|DROP|REINDEX)\b.*\bCONCURRENTLY\b", re.IGNORECASE | re.DOTALL)
CONTRACTING: Final = re.compile(r"\d+_contract_")  # it drops what the code before uses


class NeedsContracting(Exception):
    """A migration stands on one that contracts and has not run yet."""


class LockHeld(Exception):
    """A lock was not granted in any attempt; the message names who holds it, and what to do."""


def migrate(url: str, program: str, rights: Mapping[LiteralString, str | None], *, expand: bool = False) -> None:
    """Apply what is missing, and `rights`: grants → role; with `expand` only what code before can live with.

    Raises LockHeld, NeedsContracting, or what Django raises.
    """
    connection.ensure_connection()
    with lock_holders.watched(url, program, connection.connection.info.backend_pid, _tell) as holders:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with connection.execute_wrapper(_patient_where_concurrent):
                    _expand() if expand else call_command("migrate", verbosity=0, interactive=False)
                _grant(rights)
            except OperationalError as error:
                if not isinstance(cause_of(error), REFUSED):
                    raise
                if attempt == ATTEMPTS:
                    raise LockHeld(lock_holders.not_granted(holders, TRIED, "migrate again")) from None
                log.warning("lock not granted", attempt=attempt, of=ATTEMPTS, held_by=holders)
                time.sleep(PAUSE_SECONDS)
            else:
                return


def _expand() -> None:
    executor = MigrationExecutor(connection)
    plan = [migration for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    later: set[tuple[str, str]] = set()
    for migration in plan:
        key = (migration.app_label, migration.name)
        if CONTRACTING.match(migration.name):
            later.add(key)
            continue
        for parent in executor.loader.graph.node_map[key].parents:
            if parent.key in later:
                raise NeedsContracting(
                    f"{'.'.join(key)} depends on {'.'.join(parent.key)}, which contracts and has not run: do that first"
                )
    for migration in plan:
        key = (migration.app_label, migration.name)
        if key not in later:
            call_command("migrate", *key, verbosity=0, interactive=False)
    if later:
        log.info("left for contracting", migrations=sorted(".".join(key) for key in later))


def _tell(holders: list[str]) -> None:
    log.warning("waiting for a lock", held_by=holders)


def _grant(rights: Mapping[LiteralString, str | None]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database(), current_schema()")
        database, schema = map(sql.Identifier, cursor.fetchone())
        for grants, role in rights.items():
            if role:
                statement = sql.SQL(grants).format(database=database, schema=schema, role=sql.Identifier(role))
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
