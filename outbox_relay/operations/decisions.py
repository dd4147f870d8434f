"""What operators have decided (table `waybill_operator_decision`): what was discarded, acknowledged, skipped.

A decision is written in the transaction that carries it out, and points to its audit row. `verify` reads them: what was
decided on the record is counted apart and is no fault.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

import psycopg


class Kind(StrEnum):
    """What was decided; nothing moves a decision on."""

    DISCARDED_MESSAGE = "discarded_message"
    DISCARDED_PUBLICATION = "discarded_publication"
    ACKNOWLEDGED_GHOST = "acknowledged_ghost"
    SKIPPED_RECORD = "skipped_record"


class Subject(NamedTuple):
    """The message, publication or record that was decided on; None for what it does not have."""

    event_id: UUID | None
    event_type: str | None
    topic: str
    partition: int | None
    offset: int | None
    key: str
    reason: str | None = None
    version: int | None = None


INSERT: Final = """
INSERT INTO waybill_operator_decision
    (kind, event_id, event_type, topic, "partition", "offset", key, reason, version, action_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
# Hashed or probed by the index on event_id: costs nothing where nothing was discarded.
IS_DISCARDED: Final = """
EXISTS (SELECT FROM waybill_operator_decision AS decision
        WHERE decision.event_id = waybill_outbox.event_id AND decision.kind = 'discarded_publication')
"""
DISCARDED_IDS: Final = "SELECT event_id FROM waybill_operator_decision WHERE kind = 'discarded_publication'"
COUNT_DISCARDED: Final = "SELECT count(*) FROM waybill_operator_decision WHERE kind = 'discarded_publication'"
# By event, and by record for one whose event id nobody can read.
GHOSTS: Final = """
SELECT event_id, topic, "partition", "offset" FROM waybill_operator_decision WHERE kind = 'acknowledged_ghost'
"""
SKIPPED: Final = """
SELECT topic, "partition", "offset", event_id::text FROM waybill_operator_decision WHERE kind = 'skipped_record'
"""
# A version that an acknowledged ghost had: the outbox may lack it, and nobody is told of it again.
WENT_WITH_A_GHOST: Final = """
SELECT FROM waybill_operator_decision WHERE kind = 'acknowledged_ghost' AND key = %s AND version = %s LIMIT 1
"""


class SkippedRecord(NamedTuple):
    """A record that a consumer passes over; by its event too, as a topic that is created anew has the offset again."""

    topic: str
    partition: int
    offset: int
    event_id: str | None


class Ghosts(NamedTuple):
    """The ghosts that operators acknowledged, by event; and by record, for one whose headers cannot be read."""

    events: frozenset[UUID] = frozenset[UUID]()
    records: frozenset[tuple[str, int, int]] = frozenset[tuple[str, int, int]]()

    def has(self, event_id: UUID | None, topic: str, partition: int, offset: int) -> bool:
        """Say whether the record was acknowledged."""
        return (topic, partition, offset) in self.records or event_id in self.events

    @classmethod
    def united(cls, several: Iterable["Ghosts"]) -> "Ghosts":
        """Return what any of them has."""
        found = list(several)
        return cls(
            frozenset[UUID]().union(*(one.events for one in found)),
            frozenset[tuple[str, int, int]]().union(*(one.records for one in found)),
        )


def record(connection: psycopg.Connection, kind: Kind, subjects: Iterable[Subject], action_id: int) -> None:
    """Write decisions, in the transaction that carries them out. Raises psycopg.Error."""
    with connection.cursor() as cursor:
        cursor.executemany(INSERT, [(kind, *subject, action_id) for subject in subjects])


def count_discarded(connection: psycopg.Connection) -> int:
    """Return how many publications were discarded. Raises psycopg.Error."""
    (count,) = connection.execute(COUNT_DISCARDED).fetchone() or (0,)
    return count


def went_with_a_ghost(connection: psycopg.Connection, key: str, version: int) -> bool:
    """Say whether an acknowledged ghost took this version of the key. Raises psycopg.Error."""
    return connection.execute(WENT_WITH_A_GHOST, (key, version)).fetchone() is not None


def skipped(connection: psycopg.Connection) -> frozenset[SkippedRecord]:
    """Return the records that this service's consumer skips. Raises psycopg.Error."""
    return frozenset(map(SkippedRecord._make, connection.execute(SKIPPED)))


def acknowledged(connection: psycopg.Connection) -> Ghosts:
    """Return the ghosts that were acknowledged here; what was skipped is known too. Raises psycopg.Error."""
    rows = connection.execute(GHOSTS).fetchall()
    return Ghosts(
        frozenset(event_id for event_id, *_ in rows if event_id is not None),
        frozenset((topic, partition, offset) for _, topic, partition, offset in rows)
        | {(one.topic, one.partition, one.offset) for one in skipped(connection)},
    )
