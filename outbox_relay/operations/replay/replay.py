"""What a replay means: history sent again, on purpose. Which events, where they would go, and the job made of them.

Published events only: at or below the cursor, not in one of its gaps, not parked, not private. The others are the
relay's business, and a replay that sent them too would overtake it. The set is fixed when the job is made, so that its
total stays true while the relay goes on. sending.py sends it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
import uuid_utils
from psycopg.rows import class_row

from outbox_relay.operations import decisions
from outbox_relay.operations.events import history
from outbox_relay.operations.events.history import Filter
from outbox_relay.operations.replay import jobs

CHOSEN: Final = f"{history.CHOSEN} AND (%(events)s::uuid[] IS NULL OR event_id = ANY(%(events)s::uuid[]))"
# In one snapshot with the row of the job that it makes.
PLAN: Final = f"""
WITH cursor AS MATERIALIZED (
    SELECT cursor.position AS reached,
           (SELECT range_agg(int8range(missing[n], missing[n + 1], '[]'))
            FROM generate_series(1, cardinality(missing), 2) AS n) AS gaps
    FROM waybill_outbox_cursor AS cursor
)
SELECT topic, event_type, left_out, count(*) AS events, min(position) AS first, max(position) AS last,
       min(recorded_at) AS earliest, max(recorded_at) AS latest
FROM (
    SELECT topic, event_type, position, recorded_at,
           CASE WHEN topic IS NULL THEN 'private'
                WHEN position > reached OR coalesce(position <@ gaps, false) THEN 'waiting'
                WHEN EXISTS (SELECT FROM published WHERE published.id = event_id AND status <> 2) THEN 'parked'
                WHEN {decisions.IS_DISCARDED} THEN 'discarded'
           END AS left_out
    FROM waybill_outbox, cursor WHERE {CHOSEN}
) AS meant
GROUP BY topic, event_type, left_out ORDER BY min(position)
"""  # noqa: S608 - put together from constants
# Between a job's first and last position: what is parked or discarded, and what may still become visible.
WITHOUT: Final = f"""
SELECT coalesce(range_agg(positions), '{{}}')::text FROM (
    SELECT int8range(position, position, '[]') AS positions FROM waybill_outbox
    WHERE event_id IN (SELECT id FROM published WHERE status <> 2 UNION ALL {decisions.DISCARDED_IDS}) AND {CHOSEN}
    UNION ALL
    SELECT int8range(missing[n], missing[n + 1], '[]')
    FROM waybill_outbox_cursor, generate_series(1, cardinality(missing), 2) AS n
) AS unpublished
"""  # noqa: S608
WHICH: Final = "SELECT event_id FROM waybill_outbox WHERE event_id = ANY(%s)"


class Choice(NamedTuple):
    """Which events are meant: those of the filter, and among them only these ids, where there are any."""

    wanted: Filter
    events: tuple[UUID, ...] = ()

    def values(self) -> dict[str, Any]:
        """Return what CHOSEN asks for."""
        return self.wanted.values() | {"events": list(self.events) or None}


@dataclass(frozen=True, slots=True)
class Manner:
    """How events are sent: to one group or all, to be handled again or not, how fast, by whom and why."""

    reason: str
    by: str
    to_consumer: str | None = None
    reprocess: bool = False
    effects: bool = False
    rate: int | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """Events of one type on one topic, with their positions and times; `left_out` says why they are not sent."""

    topic: str | None
    event_type: str
    left_out: str | None
    events: int
    first: int
    last: int
    earliest: datetime
    latest: datetime


def plan(connection: psycopg.Connection, choice: Choice) -> list[Share]:
    """Return what is meant, by topic and type, lowest position first. Raises psycopg.Error."""
    with connection.cursor(row_factory=class_row(Share)) as cursor:
        narrowed = choice._replace(wanted=history.narrowed(connection, choice.wanted))
        return cursor.execute(PLAN, narrowed.values()).fetchall()


def sendable(shares: Collection[Share]) -> list[Share]:
    """Return what would be sent."""
    return [share for share in shares if share.left_out is None]


def oldest(shares: Collection[Share]) -> dict[str, datetime]:
    """Return the time of the oldest event of each type that would be sent."""
    by_age = sorted(sendable(shares), key=lambda share: share.earliest, reverse=True)
    return {share.event_type: share.earliest for share in by_age}


def unknown(connection: psycopg.Connection, events: Collection[UUID]) -> set[UUID]:
    """Return which ids are of no event here. Raises psycopg.Error."""
    return set(events) - {event_id for (event_id,) in connection.execute(WHICH, (list(events),))}


def make(service: str, connection: psycopg.Connection, choice: Choice, manner: Manner) -> jobs.Job | None:
    """Make a job of what is meant now, on record; None where nothing can be sent. Raises psycopg.Error."""
    job_id = UUID(str(uuid_utils.uuid7()))
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with connection.transaction():
        shares = sendable(plan(connection, choice))
        if not shares:
            return None
        (without,) = connection.execute(WITHOUT, choice.values()).fetchone() or ("{}",)
        values = {
            "id": job_id,
            "chosen": _told(choice) | {"topics": _topics(shares), "without": without, "effects": manner.effects},
            "to_consumer": manner.to_consumer,
            "reprocess": manner.reprocess,
            "rate": manner.rate,
            "first": min(share.first for share in shares),
            "last": max(share.last for share in shares),
            "total": sum(share.events for share in shares),
            "by": manner.by,
            "reason": manner.reason,
        }
        jobs.make(connection, values)
    return jobs.read(service, connection, job_id)


def _told(choice: Choice) -> dict[str, Any]:
    bounds = {"first", "last"}  # the job has its own, which lie within
    told = {name: value for name, value in choice.wanted.values().items() if value is not None and name not in bounds}
    told |= {name: told[name].isoformat() for name in ("since", "until") if name in told}
    return told | ({"events": [str(event_id) for event_id in choice.events]} if choice.events else {})


def _topics(shares: Collection[Share]) -> dict[str, list[str]]:
    named = {share.topic or "" for share in shares}
    return {name: sorted(share.event_type for share in shares if share.topic == name) for name in sorted(named)}


def chosen(job: jobs.Job) -> Choice:
    """Return what the job's row says is meant."""
    told = dict(job.chosen)
    since, until = (datetime.fromisoformat(told[name]) if name in told else None for name in ("since", "until"))
    kind, key = told.get("aggregate_type"), told.get("aggregate_id")
    # A job of an earlier version names one type.
    types = told.get("event_types") or [name for name in [told.get("event_type")] if name]
    wanted = Filter(kind, key, tuple(types), first=job.first, last=job.last, since=since, until=until)
    return Choice(wanted, tuple(UUID(event_id) for event_id in told.get("events", ())))
