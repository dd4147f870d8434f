"""Which of the library's apps a database has: a project may have an outbox and no inbox, or no due tasks."""

from typing import Final

import psycopg

THERE: Final = "SELECT to_regclass(%s) IS NOT NULL"


def has_inbox(connection: psycopg.Connection) -> bool:
    """Say whether anything is received here. Raises psycopg.Error."""
    return _has(connection, "waybill_consumer_position")


def has_tasks(connection: psycopg.Connection) -> bool:
    """Say whether a worker has anything to do here. Raises psycopg.Error."""
    return _has(connection, "waybill_due_task")


def _has(connection: psycopg.Connection, table: str) -> bool:
    (there,) = connection.execute(THERE, (table,)).fetchone() or (False,)
    return there
