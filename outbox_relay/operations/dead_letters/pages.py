"""Dead letters page by page, the newest first: each page is read by an index, however many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from outbox_relay.operations.dead_letters.dead_letters import Choice

LISTED: Final = """
SELECT %(service)s::text AS service, letter.row_id, kind, reason_class, nullif(event_type, '') AS event_type, topic,
       key, dead_lettered_at,
       coalesce(received.headers->>'place', 'position ' || (published.body->>'position'), '') AS place,
       coalesce(CASE WHEN kind = 'message' THEN received.headers->>'reason'
                     ELSE published.headers->>'reason' || ': ' || (published.headers->>'detail') END, '') AS reason,
       (SELECT count(*) FROM waybill_dead_letter AS other
        WHERE other.kind = letter.kind AND other.ordering_key = letter.ordering_key
        AND other.row_id <> letter.row_id AND other.reason_class = 'behind') AS behind
FROM ({letters}) AS letter
LEFT JOIN received ON kind = 'message' AND received.id = letter.row_id
LEFT JOIN published ON kind = 'publication' AND published.id = letter.row_id
ORDER BY {sequence}
"""
# A page begins behind the last row of the one before it, whatever has come or gone meanwhile.
CHOSEN: Final = """
SELECT * FROM waybill_dead_letter
WHERE (%(kind)s::text IS NULL OR kind = %(kind)s)
AND (%(class)s::text IS NULL OR reason_class = %(class)s)
AND (%(type)s::text IS NULL OR event_type = %(type)s)
AND (%(topic)s::text IS NULL OR topic = %(topic)s)
AND (%(key)s::text IS NULL OR key = %(key)s)
AND (%(at)s::timestamptz IS NULL OR (dead_lettered_at, row_id) < (%(at)s, %(row_id)s::uuid))
ORDER BY dead_lettered_at DESC, row_id DESC LIMIT %(limit)s
"""
PAGE: Final = LISTED.replace("{letters}", CHOSEN).replace("{sequence}", "dead_lettered_at DESC, letter.row_id DESC")
# What was tried first, then what waits behind it.
ROWS: Final = LISTED.replace("{letters}", "SELECT * FROM waybill_dead_letter WHERE row_id = ANY(%(rows)s)").replace(
    "{sequence}", "reason_class = 'behind', dead_lettered_at, letter.row_id"
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A dead letter in a list; `behind` counts those that wait for one of its key."""

    service: str
    row_id: UUID
    kind: str
    reason_class: str
    event_type: str | None
    topic: str
    key: str
    dead_lettered_at: datetime
    place: str
    reason: str
    behind: int

    @property
    def cursor(self) -> "Cursor":
        """Return where the page after this one begins."""
        return Cursor(self.dead_lettered_at, self.row_id)


class Cursor(NamedTuple):
    """A page begins behind this dead letter."""

    at: datetime | None = None
    row_id: UUID | None = None


class Wanted(NamedTuple):
    """Which dead letters a list has: all conditions that are given must hold. A type is a full name, `` is none."""

    kind: str | None = None
    reason_class: str | None = None
    event_type: str | None = None
    topic: str | None = None
    key: str | None = None

    @property
    def choice(self) -> Choice:
        """Return the same for a redrive."""
        kinds = Choice().kinds if self.kind is None else (self.kind,)
        classes, types, keys = (() if one is None else (one,) for one in (self.reason_class, self.event_type, self.key))
        return Choice(kinds=kinds, topic=self.topic, keys=keys, types=types, classes=classes)

    def values(self) -> dict[str, Any]:
        """Return what CHOSEN asks for."""
        given = {"kind": self.kind, "class": self.reason_class, "type": self.event_type}
        return given | {"topic": self.topic, "key": self.key}


def read(
    service: str, connection: psycopg.Connection, wanted: Wanted, limit: int, after: Cursor | None = None
) -> list[Listed]:
    """Return a page of the dead letters that are wanted, the newest first. Raises psycopg.Error."""
    values = wanted.values() | (after or Cursor())._asdict() | {"service": service, "limit": limit}
    with connection.cursor(row_factory=class_row(Listed)) as cursor:
        # Unprepared: the plan is made with the values known, and so by the index that they need.
        return cursor.execute(PAGE, values, prepare=False).fetchall()


def of_rows(service: str, connection: psycopg.Connection, rows: Sequence[UUID]) -> list[Listed]:
    """Return these dead letters, what was tried first. Raises psycopg.Error."""
    with connection.cursor(row_factory=class_row(Listed)) as cursor:
        return cursor.execute(ROWS, {"service": service, "rows": list(rows)}).fetchall()
