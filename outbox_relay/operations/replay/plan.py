"""Which events a replay sends, and where they would go: computed once, in one snapshot of one outbox.

Published events only: at or below the cursor, not in one of its gaps, no dead letter, not private. The others are the
relay's business, and a replay that sent them too would overtake it. The plan says which positions between its first and
last are left out, so the set stays what it was while the relay publishes more: what is published stays published, and
what was not is not sent. A job is made of the plan that the operator was shown and that was checked.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from outbox_relay.operations import decisions
from outbox_relay.operations.events.listing import Filter
from outbox_relay.operations.partitions import layout
from outbox_relay.operations.partitions.layout import Horizon
from outbox_relay.operations.replay.options import CHOSEN, Options

# One snapshot for all of it: what waits now is left out for good, though the relay publishes it a moment later.
SLICES: Final = f"""
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
                WHEN EXISTS (SELECT FROM published WHERE published.id = event_id AND status <> 2) THEN 'dead letter'
                WHEN {decisions.IS_DISCARDED} THEN 'discarded'
           END AS left_out
    FROM waybill_outbox, cursor WHERE {CHOSEN}
) AS meant
GROUP BY topic, event_type, left_out ORDER BY min(position)
"""  # noqa: S608 - put together from constants
# Between the first and last position: dead letters, what was discarded, and what may still become visible.
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


@dataclass(frozen=True, slots=True)
class Slice:
    """Events of one type on one topic, with their positions and times; `left_out` says why they are not sent."""

    topic: str | None
    event_type: str
    left_out: str | None
    events: int
    first: int
    last: int
    earliest: datetime
    latest: datetime


@dataclass(frozen=True)
class Plan:
    """What a replay sends of one outbox; `without` are the positions that it leaves out, as an int8multirange."""

    slices: tuple[Slice, ...]
    without: str
    archived: Horizon | None = None
    """Up to where events are archived, where the replay would begin there."""

    @cached_property
    def sent(self) -> tuple[Slice, ...]:
        """Return what is sent."""
        return tuple(one for one in self.slices if one.left_out is None)

    @property
    def total(self) -> int:
        """Return how many events are sent."""
        return sum(one.events for one in self.sent)

    @property
    def topics(self) -> dict[str, list[str]]:
        """Return topic → types of what is sent."""
        names = sorted({one.topic or "" for one in self.sent})
        return {name: sorted(one.event_type for one in self.sent if one.topic == name) for name in names}

    @property
    def bounds(self) -> dict[str, int]:
        """Return the first and last position of what is sent, which must be something."""
        return {"first": min(one.first for one in self.sent), "last": max(one.last for one in self.sent)}


def make(connection: psycopg.Connection, options: Options) -> Plan:
    """Plan a replay of one outbox, by topic and type, lowest position first. Raises psycopg.Error."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with connection.transaction(), connection.cursor(row_factory=class_row(Slice)) as cursor:
        narrowed = options.narrowed(connection)
        values = narrowed.values()
        slices = cursor.execute(SLICES, values).fetchall()
        (without,) = connection.execute(WITHOUT, values).fetchone() or ("{}",)
        gone = layout.horizon(connection)
    return Plan(tuple(slices), without, gone if _reaches(narrowed.wanted, gone) else None)


def _reaches(wanted: Filter, gone: Horizon) -> bool:
    """Say whether archived events may be meant."""
    return wanted.first <= gone.last and not (wanted.since and gone.newest and gone.newest < wanted.since)


def oldest(plans: Collection[Plan]) -> dict[str, datetime]:
    """Return the time of the oldest event of each type that is sent."""
    by_age = sorted((one for plan in plans for one in plan.sent), key=lambda one: one.earliest, reverse=True)
    return {one.event_type: one.earliest for one in by_age}


def unknown(connection: psycopg.Connection, events: Collection[UUID]) -> set[UUID]:
    """Return which ids are of no event here. Raises psycopg.Error."""
    return set(events) - {event_id for (event_id,) in connection.execute(WHICH, (list(events),))}
