"""Which of the library's apps a database has or uses: a project may have no inbox or due tasks, or publish nothing."""

from typing import Final

import psycopg

# Who may move the cursor is a relay's role: without one, whatever was appended would never be published.
PUBLISHES: Final = """
SELECT EXISTS (SELECT FROM waybill_outbox)
       OR EXISTS (SELECT FROM pg_class AS cursor, aclexplode(cursor.relacl) AS granted
                  WHERE cursor.oid = 'waybill_outbox_cursor'::regclass AND granted.privilege_type = 'UPDATE'
                  AND granted.grantee <> cursor.relowner)
"""
THERE: Final = "SELECT to_regclass(%s) IS NOT NULL"


def publishes(connection: psycopg.Connection) -> bool:
    """Say whether events are appended here, or a relay is meant to publish some; else it only reads those of others.

    Raises psycopg.Error.
    """
    (does,) = connection.execute(PUBLISHES).fetchone() or (False,)
    return does


def has_inbox(connection: psycopg.Connection) -> bool:
    """Say whether anything is received here. Raises psycopg.Error."""
    return _has(connection, "waybill_consumer_position")


def has_tasks(connection: psycopg.Connection) -> bool:
    """Say whether a worker has anything to do here. Raises psycopg.Error."""
    return _has(connection, "waybill_due_task")


def _has(connection: psycopg.Connection, table: str) -> bool:
    (there,) = connection.execute(THERE, (table,)).fetchone() or (False,)
    return there
