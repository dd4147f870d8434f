"""Ghosts, records on a topic whose event is in no outbox, put on record as known.

A ghost is there because a database lost what had been published: it was restored, a standby that lagged was promoted, a
row was deleted. Or a record names no source. One of a source that is none of these services' is no ghost: nobody here
could have its event. The record stays where it is; once an operator has acknowledged
it, `verify` counts it apart and does not fail for it, nor for the version that its key lacks. It is known again by its
event, so a copy of it is acknowledged too, or by its offset where it names no event.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from outbox_relay.operations import audit, decisions, names
from outbox_relay.operations.decisions import Ghosts, Kind, Subject
from outbox_relay.operations.topics import topic
from outbox_relay.operations.topology import UNBOUNDED, DependencyDown, Topology, ask
from waybill.commands.printing import printable
from waybill.contracts.topics import topics

KNOWN: Final = "SELECT event_id FROM waybill_outbox WHERE event_id = ANY(%s)"
WRITTEN: Final = "SELECT DISTINCT topic FROM waybill_outbox WHERE topic IS NOT NULL"
LARGEST_VERSION: Final = 2**31 - 1  # of the column; a record may claim anything
LARGEST_TEXT: Final = 250  # characters of the columns


class Wanted(NamedTuple):
    """Which records are looked at."""

    topics: Sequence[str]
    partition: int | None
    offset: int | None

    def has(self, record: topic.TopicRecord) -> bool:
        """Say whether the record is meant."""
        return self.partition in {None, record.partition} and self.offset in {None, record.offset}


def find(topology: Topology, wanted: Wanted, progress: Callable[[int, int], object]) -> Iterator[topic.TopicRecord]:
    """Yield the ghosts that nobody has acknowledged, the first record of each event.

    Asks every database that is known, since any of them may have the event. Blocks for as long as reading the topics
    takes. Raises DependencyDown where a database or the broker does not answer.
    """
    known = Ghosts.united(_answers(topology, lambda _, connection: decisions.acknowledged(connection)))
    own = {"", *frozenset[str]().union(*_answers(topology, names.sources))}
    seen: set[UUID] = set()
    for records in topic.read(topology.broker, dict.fromkeys(wanted.topics), progress):
        batch = [one for one in records if wanted.has(one)]
        committed = _committed(topology, batch)
        for record in batch:
            if record.event_id in committed | seen or record.replay_target is not None or _is_others(record, own):
                continue
            if known.has(record.event_id, record.topic, record.partition, record.offset):
                continue
            if record.event_id is not None:
                seen.add(record.event_id)
            yield record


def _is_others(record: topic.TopicRecord, own: Collection[str]) -> bool:
    """Say whether it is an event of a source that is not asked here; what cannot be read is never."""
    return record.event_id is not None and record.failure is None and record.source not in own


def acknowledge(topology: Topology, service: str, records: Sequence[topic.TopicRecord], reason: str, by: str) -> None:
    """Keep on record, in this service's database, that these ghosts are known. Raises DependencyDown."""
    _answer(topology, service, lambda _, connection: _decide(connection, records, reason, by))


def _decide(connection: psycopg.Connection, records: Sequence[topic.TopicRecord], reason: str, by: str) -> None:
    with connection.transaction():
        what = {"ghosts": len(records), "topics": sorted({record.topic for record in records})}
        action = audit.record(connection, "acknowledge", reason, what, by)
        decisions.record(connection, Kind.ACKNOWLEDGED_GHOST, map(_subject, records), action)


def _subject(record: topic.TopicRecord) -> Subject:
    return Subject(
        record.event_id,
        _storable(record.event_type) or None,
        record.topic,
        record.partition,
        record.offset,
        _storable(record.key),
        version=record.version if 0 < record.version <= LARGEST_VERSION else None,
    )


def _storable(text: str) -> str:
    return printable(text)[:LARGEST_TEXT]  # a record may hold anything, also what PostgreSQL's text cannot


def topics_of(topology: Topology, service: str) -> list[str]:
    """Name the topics that the service writes: those of its events, and those of an outbox that has none left."""
    written = _answer(topology, service, lambda _, connection: {name for (name,) in connection.execute(WRITTEN)})
    return sorted(written | {one.name for one in topics() if one.name.partition(".")[0] == service})


def _committed(topology: Topology, records: Iterable[topic.TopicRecord]) -> set[UUID]:
    ids = [record.event_id for record in records if record.event_id is not None]
    return set[UUID]().union(
        *_answers(topology, lambda _, connection: {one for (one,) in connection.execute(KNOWN, (ids,))})
    )


def _answers(topology: Topology, question: Callable[[str, psycopg.Connection], Any]) -> list[Any]:
    return [_answer(topology, service, question) for service in topology.databases]


def _answer(topology: Topology, service: str, question: Callable[[str, psycopg.Connection], Any]) -> Any:
    answers, failures = ask(topology, [service], question, UNBOUNDED)
    for why in failures.values():
        raise DependencyDown(f"database {service}: {why}")
    return answers[service]
