"""How each outbox does: what waits, how long, who leads."""

from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg.rows import class_row

# What waits lies above the cursor or in one of its gaps; private events wait for nobody.
STATUS: Final = """
WITH waiting AS (
    SELECT recorded_at FROM outbox, outbox_cursor AS cursor
    WHERE topic IS NOT NULL AND outbox.position > cursor.position
    UNION ALL
    SELECT recorded_at FROM outbox_cursor AS cursor
    CROSS JOIN generate_series(1, cardinality(cursor.missing), 2) AS n
    JOIN outbox ON outbox.position BETWEEN cursor.missing[n] AND cursor.missing[n + 1]
    WHERE topic IS NOT NULL
)
SELECT %s AS service,
       (SELECT count(*) FROM waiting) AS unpublished,
       (SELECT round(date_part('epoch', clock_timestamp() - min(recorded_at))::numeric, 3)::float FROM waiting)
           AS oldest_seconds,
       cursor.position,
       coalesce((SELECT max(outbox.position) FROM outbox), 0) AS last,
       cursor.missing,
       (SELECT count(*) FROM published WHERE status <> 2) AS parked_publications,
       (SELECT count(*) FROM received WHERE status = -1) AS parked_messages,
       cursor.leader,
       round(date_part('epoch', clock_timestamp() - cursor.heartbeat_at)::numeric, 3)::float AS heartbeat_seconds
FROM outbox_cursor AS cursor
"""


@dataclass(frozen=True, slots=True)
class Status:
    """One outbox; ages in seconds."""

    service: str
    unpublished: int
    oldest_seconds: float | None
    position: int
    last: int
    missing: list[int]
    parked_publications: int
    parked_messages: int
    leader: str | None
    heartbeat_seconds: float | None

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Return first and last position of each gap below the cursor."""
        return list(zip(self.missing[::2], self.missing[1::2], strict=True))


def read_status(service: str, connection: psycopg.Connection) -> Status:
    """Return how the service's outbox does. Raises psycopg.Error."""
    with connection.cursor(row_factory=class_row(Status)) as cursor:
        found = cursor.execute(STATUS, (service,)).fetchone()
    if found is None:
        raise psycopg.DataError("outbox_cursor has no row; run: python -m chassis SERVICE migrate")
    return found
