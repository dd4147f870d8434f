"""What needs an operator's attention: due rows that no attempt will end by itself, or that have failed for too long."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg
from psycopg.rows import class_row

from outbox_relay.operations.parts import has_tasks

ATTENTION: Final = """
SELECT %(service)s::text AS service, aggregate_type || '/' || aggregate_id AS aggregate, task,
       attention_since AS since, attempts, last_error AS reason, way_out AS remediation
FROM waybill_due_task JOIN waybill_outbox USING (event_id)
WHERE attention_since IS NOT NULL ORDER BY attention_since, waybill_due_task.id
"""
COUNT: Final = "SELECT count(*) FROM waybill_due_task WHERE attention_since IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Marked:
    """One due row that needs attention; it is attempted on, and gone once an attempt succeeds."""

    service: str
    aggregate: str
    task: str
    since: datetime
    attempts: int
    reason: str
    remediation: str


def count(connection: psycopg.Connection) -> int:
    """Return how many there are. Raises psycopg.Error."""
    (found,) = (connection.execute(COUNT).fetchone() if has_tasks(connection) else None) or (0,)
    return found


def read_attention(service: str, connection: psycopg.Connection) -> list[Marked]:
    """Return what needs attention, longest first. Raises psycopg.Error."""
    if not has_tasks(connection):
        return []
    with connection.cursor(row_factory=class_row(Marked)) as cursor:
        return cursor.execute(ATTENTION, {"service": service}).fetchall()
