"""What waits for its time: due rows, soonest first, and how many of each task fail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from outbox_relay.operations.parts import has_tasks
from outbox_relay.operations.topology import UsageError

COLUMNS: Final = """
%(service)s::text AS service, waybill_due_task.id, task, aggregate_type || '/' || aggregate_id AS aggregate,
       waybill_due_task.event_id, due_at, attempts, last_error, first_attempt_at, attention_since,
       way_out AS remediation
FROM waybill_due_task JOIN waybill_outbox USING (event_id)
"""
LISTED: Final = f"""
SELECT {COLUMNS}
WHERE (%(tasks)s::text[] IS NULL OR task = ANY(%(tasks)s))
  AND (%(keys)s::text[] IS NULL OR aggregate_id = ANY(%(keys)s))
  AND (NOT %(failing)s OR last_error IS NOT NULL)
  AND (NOT %(attention)s OR attention_since IS NOT NULL)
  AND (%(before)s::timestamptz IS NULL OR due_at < %(before)s)
  AND (%(after)s::timestamptz IS NULL OR (due_at, waybill_due_task.id) > (%(after)s, %(after_id)s))
ORDER BY due_at, waybill_due_task.id LIMIT %(limit)s
"""
OF_EVENTS: Final = f"""
SELECT {COLUMNS} WHERE waybill_due_task.event_id = ANY(%(events)s) ORDER BY due_at, waybill_due_task.id
"""
# `late`: due, and nobody has claimed it. One that is marked is told by `attention`. Each half has
# its index; a clock that goes on within the statement could not be looked up in one.
FAILING: Final = """
SELECT %(service)s::text AS service, task, count(*) FILTER (WHERE last_error IS NOT NULL) AS failing,
       count(*) FILTER (WHERE last_error IS NULL) AS late,
       min(coalesce(first_attempt_at, due_at)) AS since,
       (array_agg(last_error ORDER BY attempts DESC) FILTER (WHERE last_error IS NOT NULL))[1] AS error
FROM waybill_due_task
WHERE attention_since IS NULL
  AND (last_error IS NOT NULL OR due_at < statement_timestamp() - make_interval(secs => %(late)s))
GROUP BY task ORDER BY task
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A row that a worker attempts at its time; gone once an attempt succeeds."""

    service: str
    id: int
    task: str
    aggregate: str
    event_id: UUID
    due_at: datetime
    attempts: int
    last_error: str | None
    first_attempt_at: datetime | None
    attention_since: datetime | None
    remediation: str | None

    @property
    def after(self) -> str:
        """Return what a page that begins behind it is asked for with."""
        return f"{self.due_at.isoformat()}/{self.id}"


@dataclass(frozen=True, slots=True)
class TaskState:
    """How one task of a service does: rows that have failed, rows that nobody claims, and the error met most often."""

    service: str
    task: str
    failing: int
    late: int
    since: datetime
    error: str | None


class Choice(NamedTuple):
    """Which rows are meant: all conditions that are given must hold, any of a condition's values. `before`: due then.

    `after`: as `Due.after` of the last one of a page.
    """

    tasks: Sequence[str] = ()
    keys: Sequence[str] = ()
    failing: bool = False
    attention: bool = False
    before: datetime | None = None
    after: str | None = None

    def values(self) -> dict[str, Any]:
        """Return what LISTED asks for. Raises UsageError."""
        after, after_id = place(self.after) if self.after else (None, None)
        lists = {"tasks": list(self.tasks) or None, "keys": list(self.keys) or None}
        return self._asdict() | lists | {"after": after, "after_id": after_id}


def listed(service: str, connection: psycopg.Connection, choice: Choice, limit: int) -> list[Due]:
    """Return the rows that are meant, soonest first. Raises psycopg.Error and UsageError."""
    if not has_tasks(connection):
        return []
    with connection.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(LISTED, choice.values() | {"service": service, "limit": limit}).fetchall()


def of_events(service: str, connection: psycopg.Connection, events: Sequence[UUID]) -> list[Due]:
    """Return the rows that these events asked for. Raises psycopg.Error."""
    if not events or not has_tasks(connection):
        return []
    with connection.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(OF_EVENTS, {"service": service, "events": list(events)}).fetchall()


def failing(service: str, connection: psycopg.Connection, late_seconds: float) -> list[TaskState]:
    """Return the tasks of which any row has failed, or is due for longer and nobody claims it. Raises psycopg.Error."""
    if not has_tasks(connection):
        return []
    with connection.cursor(row_factory=class_row(TaskState)) as cursor:
        return cursor.execute(FAILING, {"service": service, "late": late_seconds}).fetchall()


def place(given: str) -> tuple[datetime, int]:
    """Return the time and id of a page's end. Raises UsageError."""
    at, _, row = given.rpartition("/")
    try:
        return datetime.fromisoformat(at), int(row)
    except ValueError:
        raise UsageError(f"--after {given!r} is no end of a page; give what the last one said") from None
