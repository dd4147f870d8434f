"""How each outbox does: what waits, how long, how fast events come, who leads, and what operators left behind."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import psycopg
from psycopg.rows import class_row

# What waits lies above the cursor or in one of its gaps; private events wait for nobody. The rate looks at the newest
# rows only, whatever the size of the log: where all of them are younger than a minute, it is that of their own time.
STATUS: Final = """
WITH waiting AS (
    SELECT recorded_at FROM outbox, outbox_cursor AS cursor
    WHERE topic IS NOT NULL AND outbox.position > cursor.position
    UNION ALL
    SELECT recorded_at FROM outbox_cursor AS cursor
    CROSS JOIN generate_series(1, cardinality(cursor.missing), 2) AS n
    JOIN outbox ON outbox.position BETWEEN cursor.missing[n] AND cursor.missing[n + 1]
    WHERE topic IS NOT NULL
), fresh AS (
    SELECT count(*) AS events, date_part('epoch', clock_timestamp() - min(recorded_at)) AS seconds
    FROM (SELECT recorded_at FROM outbox ORDER BY position DESC LIMIT %(newest)s) AS newest
    WHERE recorded_at > clock_timestamp() - interval '1 minute'
)
SELECT %(service)s::text AS service,
       (SELECT count(*) FROM waiting) AS unpublished,
       (SELECT round(date_part('epoch', clock_timestamp() - min(recorded_at))::numeric, 3)::float FROM waiting)
           AS oldest_seconds,
       (SELECT round((events / CASE WHEN events = %(newest)s THEN greatest(seconds, 0.001) ELSE 60 END)::numeric,
                     2)::float FROM fresh) AS events_a_second,
       cursor.position,
       coalesce((SELECT max(outbox.position) FROM outbox), 0) AS last,
       cursor.missing,
       (SELECT count(*) FROM published WHERE status <> 2) AS parked_publications,
       (SELECT count(*) FROM received WHERE status = -1) AS parked_messages,
       (SELECT count(*) FROM replay_job WHERE finished_at IS NULL) AS jobs,
       (SELECT count(*) FROM due WHERE attention_since IS NOT NULL) AS attention,
       cursor.leader,
       round(date_part('epoch', clock_timestamp() - cursor.heartbeat_at)::numeric, 3)::float AS heartbeat_seconds,
       pause.paused_by, pause.reason AS paused_for, pause.paused_at AS paused_since
FROM outbox_cursor AS cursor LEFT JOIN relay_pause AS pause ON true
"""
NEWEST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Status:
    """One outbox; ages in seconds, `events_a_second` over the last minute, `jobs` those not finished.

    `attention`: due rows that need an operator's.
    """

    service: str
    unpublished: int
    oldest_seconds: float | None
    events_a_second: float
    position: int
    last: int
    missing: list[int]
    parked_publications: int
    parked_messages: int
    jobs: int
    attention: int
    leader: str | None
    heartbeat_seconds: float | None
    paused_by: str | None
    paused_for: str | None
    paused_since: datetime | None

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Return first and last position of each gap below the cursor."""
        return list(zip(self.missing[::2], self.missing[1::2], strict=True))

    @property
    def paused(self) -> str | None:
        """Return by whom, since when and why the relay is paused; None while it is not."""
        if self.paused_since is None:
            return None
        return f"by {self.paused_by} since {self.paused_since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}: {self.paused_for}"


def read_status(service: str, connection: psycopg.Connection) -> Status:
    """Return how the service's outbox does. Raises psycopg.Error."""
    with connection.cursor(row_factory=class_row(Status)) as cursor:
        found = cursor.execute(STATUS, {"service": service, "newest": NEWEST}).fetchone()
    if found is None:
        raise psycopg.DataError("outbox_cursor has no row; run: python -m chassis SERVICE migrate")
    return found
