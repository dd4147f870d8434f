"""Records that a consumer never saw, since its topic no longer had them: shown, awaited from a replay, acknowledged.

The consumer finds them and keeps them in its own database (waybill/consumer/starts.py). It cannot tell which events
they were; the outboxes can: all of the topic that were recorded between the last event that it read and the moment at
which it found the gap. When a replay is made, those that the inbox does not have are written beside the gap. Once it
has them all, whichever way they came, the consumer closes the gap.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from outbox_relay.operations import audit, decisions, names
from outbox_relay.operations.events import listing
from outbox_relay.operations.events.listing import Filter
from outbox_relay.operations.parts import has_inbox
from outbox_relay.operations.reactions import Reactions, recorded
from outbox_relay.operations.topology import UNBOUNDED, Answer, DependencyDown, Topology, ask
from waybill.consumer.gap import COLUMNS, IS_OPEN, OPEN, Gap

MEANT: Final = f"""
{IS_OPEN} AND (%(topic)s::text IS NULL OR topic = %(topic)s)
AND (%(partition)s::int IS NULL OR "partition" = %(partition)s)
"""
CHOSEN: Final = f"""
SELECT {COLUMNS} FROM waybill_offset_gap WHERE {MEANT} ORDER BY found_at
"""  # noqa: S608
ACKNOWLEDGE: Final = f"""
UPDATE waybill_offset_gap SET acknowledged_at = clock_timestamp() WHERE {MEANT}
RETURNING {COLUMNS}
"""  # noqa: S608
# What the relay publishes or has published, but for dead letters; the newest first.
RECORDED: Final = f"""
SELECT event_id FROM waybill_outbox
WHERE topic = %(topic)s AND {listing.CHOSEN} AND NOT {decisions.IS_DISCARDED}
  AND NOT EXISTS (SELECT FROM published WHERE published.id = event_id AND published.status <> 2)
ORDER BY position DESC
"""  # noqa: S608
AWAIT: Final = f"""
UPDATE waybill_offset_gap SET awaited = ARRAY(
    SELECT event_id FROM unnest(%(events)s::uuid[]) WITH ORDINALITY AS recorded (event_id, nth)
    WHERE NOT EXISTS (SELECT FROM received WHERE msg_id = %(group)s || ':' || event_id) ORDER BY nth)
WHERE topic = %(topic)s AND "partition" = %(partition)s AND first_offset = %(first_offset)s AND {IS_OPEN}
"""  # noqa: S608


def open_gaps(connection: psycopg.Connection) -> list[Gap]:
    """Return what the service's consumer misses, and nobody has acknowledged. Raises psycopg.Error."""
    if not has_inbox(connection):
        return []
    with connection.cursor(row_factory=class_row(Gap)) as cursor:
        return cursor.execute(OPEN).fetchall()


def await_replayed(topology: Topology, to_consumer: str | None) -> None:
    """Note for each gap of the groups that a replay is for which events fill it. Raises DependencyDown."""

    def question(service: str, connection: psycopg.Connection) -> tuple[str, Reactions, list[Gap]]:
        group = names.recorded(service, connection).group
        meant = to_consumer in {None, group}
        return group, recorded(service, connection), open_gaps(connection) if meant else []

    found, failures = ask(topology, topology.databases, question, UNBOUNDED)
    for service, why in failures.items():
        raise DependencyDown(f"database {service}: {why}")
    for service, (group, reactions, gaps) in found.items():
        for gap in gaps if reactions.types else ():
            _await(topology, service, group, reactions, gap)


def _await(topology: Topology, service: str, group: str, reactions: Reactions, gap: Gap) -> None:
    values = gap._asdict() | {"events": _recorded(topology, reactions, gap), "group": group}
    _answers(topology, [service], lambda connection: connection.execute(AWAIT, values))


def _recorded(topology: Topology, reactions: Reactions, gap: Gap) -> list[UUID]:
    """Return the events that the service may have missed by the gap, of whichever outbox writes the topic."""
    wanted = Filter(event_types=tuple(sorted(reactions.types)), since=gap.since, until=gap.until)

    def question(connection: psycopg.Connection) -> list[UUID]:
        values = listing.narrowed(connection, wanted).values() | {"topic": gap.topic}
        return [event_id for (event_id,) in connection.execute(RECORDED, values)]

    return [event_id for found in _answers(topology, list(topology.databases), question).values() for event_id in found]


def unacknowledged(topology: Topology, service: str, topic: str | None, partition: int | None) -> list[Gap]:
    """Return the gaps of the service's consumer on this topic and partition, or on any. Raises DependencyDown."""
    chosen = {"topic": topic, "partition": partition}
    return _answers(topology, [service], lambda connection: _meant(connection, chosen))[service]


def acknowledge(
    topology: Topology, service: str, topic: str | None, partition: int | None, reason: str, by: str
) -> list[Gap]:
    """Let what is missing stay away, on record, so that the consumer is ready again; returns the gaps that this closes.

    Raises DependencyDown.
    """
    chosen = {"topic": topic, "partition": partition}
    return _answers(topology, [service], lambda connection: _close(connection, chosen, reason, by))[service]


def shown(gap: Gap) -> dict[str, Any]:
    """Return a gap for people and JSON."""
    return gap._asdict() | {"since": gap.since}


def _meant(connection: psycopg.Connection, chosen: Mapping[str, Any]) -> list[Gap]:
    if not has_inbox(connection):
        return []
    with connection.cursor(row_factory=class_row(Gap)) as cursor:
        return cursor.execute(CHOSEN, chosen).fetchall()


def _close(connection: psycopg.Connection, chosen: Mapping[str, Any], reason: str, by: str) -> list[Gap]:
    if not has_inbox(connection):
        return []
    with connection.transaction(), connection.cursor(row_factory=class_row(Gap)) as cursor:
        closed = cursor.execute(ACKNOWLEDGE, chosen).fetchall()
        if closed:
            audit.record(connection, "acknowledge", reason, {"missing": [str(gap) for gap in closed]}, by)
        return closed


def _answers(
    topology: Topology, services: Collection[str], question: Callable[[psycopg.Connection], Answer]
) -> dict[str, Answer]:
    answers, failures = ask(topology, services, lambda _, connection: question(connection), UNBOUNDED)
    for service, why in failures.items():
        raise DependencyDown(f"database {service}: {why}")
    return answers


def total(gaps: Sequence[Gap]) -> int:
    """Return how many offsets the gaps have; one whose end nobody knows counts as 1."""
    return sum(1 if gap.last_offset is None else gap.last_offset - gap.first_offset + 1 for gap in gaps)
