"""`outbox acknowledge`: ghosts, records on a topic whose event is in no outbox, put on record as known.

A ghost is there because a database lost what had been published: it was restored, a standby that lagged was promoted, a
row was deleted. Or somebody else writes to the topic. The record stays where it is; once an operator has acknowledged
it, `verify` counts it apart and does not fail for it, nor for the version that its key lacks. It is known again by its
event, so a copy of it is acknowledged too, or by its offset where it names no event.

With `--missing`, records that a consumer never saw (missing.py) are acknowledged instead.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from outbox_relay.cli import screen
from outbox_relay.cli.verb import DONE, MISMATCH, Given, Verb, add_execution, named, refuse_silent_execution
from outbox_relay.operations import audit, decisions
from outbox_relay.operations.dead_letters.dead_letters import offset, partition
from outbox_relay.operations.decisions import Ghosts, Kind, Subject
from outbox_relay.operations.topics import missing, topic
from outbox_relay.operations.topology import UNBOUNDED, DependencyDown, Topology, UsageError, ask
from waybill.contracts.topics import topics

KNOWN: Final = "SELECT event_id FROM waybill_outbox WHERE event_id = ANY(%s)"
WRITTEN: Final = "SELECT DISTINCT topic FROM waybill_outbox WHERE topic IS NOT NULL"
LARGEST_VERSION: Final = 2**31 - 1
LARGEST_TEXT: Final = 250


class Wanted(NamedTuple):
    """Which records are looked at."""

    topics: Sequence[str]
    partition: int | None
    offset: int | None

    def has(self, record: topic.Record) -> bool:
        """Say whether the record is meant."""
        return self.partition in {None, record.partition} and self.offset in {None, record.offset}


def _acknowledge(given: Given, topology: Topology) -> int:
    refuse_silent_execution(given)
    service = _only_service(given, topology)
    wanted = _read_wanted(given, topology, service)
    if given.missing:
        return missing.acknowledge(given, topology, service)
    with screen.progress("records") as progress:
        found = list(find(topology, wanted, progress))
    if found and given.execute:
        _answer(topology, service, lambda _, connection: acknowledge(connection, found, given.reason, given.by))
    lines = [_line(record) for record in found]
    (screen.put_json if given.json else screen.put_table)(lines)
    if not found:
        _tell_none(wanted, service)
    elif given.execute:
        screen.tell(f"{len(found)} ghosts acknowledged")
    else:
        screen.tell(f"dry run: {len(found)} ghosts; --execute --reason '…' acknowledges them")
    return DONE if found else MISMATCH


def _tell_none(wanted: Wanted, service: str) -> None:
    if wanted.offset is None:
        screen.tell(f"no ghost on {', '.join(wanted.topics)} that is not acknowledged")
    else:
        place = f"{wanted.topics[0]}/{wanted.partition}/{wanted.offset}"
        why = "the topic has no such record, its event is in an outbox, or it is acknowledged already"
        screen.tell(f"no ghost at {place}: {why}; outbox verify --full --service {service} lists ghosts")


def find(topology: Topology, wanted: Wanted, progress: Callable[[int, int], object]) -> Iterator[topic.Record]:
    """Yield the ghosts that nobody has acknowledged, the first record of each event.

    Asks every database that is known, since any of them may have the event. Blocks for as long as reading the topics
    takes. Raises DependencyDown where a database or the broker does not answer.
    """
    known = Ghosts.united(_answers(topology, lambda _, connection: decisions.acknowledged(connection)))
    seen: set[UUID] = set()
    for records in topic.read(topology.broker, dict.fromkeys(wanted.topics), progress):
        batch = [one for one in records if wanted.has(one)]
        committed = _committed(topology, batch)
        for record in batch:
            if record.event_id in committed | seen or record.replay_target is not None:
                continue
            if known.has(record.event_id, record.topic, record.partition, record.offset):
                continue
            if record.event_id is not None:
                seen.add(record.event_id)
            yield record


def acknowledge(connection: psycopg.Connection, records: Sequence[topic.Record], reason: str, by: str) -> None:
    """Keep on record that these ghosts are known. Raises psycopg.Error."""
    with connection.transaction():
        what = {"ghosts": len(records), "topics": sorted({record.topic for record in records})}
        action = audit.record(connection, "acknowledge", reason, what, by)
        decisions.record(connection, Kind.ACKNOWLEDGED_GHOST, map(_subject, records), action)


def _subject(record: topic.Record) -> Subject:
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
    return screen.plain(text)[:LARGEST_TEXT]  # a record may hold anything, also what PostgreSQL's text cannot


def _only_service(given: Given, topology: Topology) -> str:
    services = named(given, topology)
    if len(services) > 1:
        raise UsageError("the decision is kept in one database: give --service once, the service that writes the topic")
    return services[0]


def _read_wanted(given: Given, topology: Topology, service: str) -> Wanted:
    if given.all == (given.topic is not None):
        raise UsageError("choose what to acknowledge: --topic, with --partition and --offset for one record; or --all")
    if given.partition is not None and given.topic is None:
        raise UsageError("--partition needs --topic")
    if given.offset is not None and given.partition is None:
        raise UsageError("--offset needs --topic and --partition")
    return Wanted([given.topic] if given.topic else _topics_of(topology, service), given.partition, given.offset)


def _topics_of(topology: Topology, service: str) -> list[str]:
    """Name the topics that the service writes: those of its events, and those of an outbox that has none left."""
    written = _answer(topology, service, lambda _, connection: {name for (name,) in connection.execute(WRITTEN)})
    return sorted(written | {one.name for one in topics() if one.name.partition(".")[0] == service})


def _committed(topology: Topology, records: Iterable[topic.Record]) -> set[UUID]:
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


def _line(record: topic.Record) -> dict[str, Any]:
    shown = ("topic", "partition", "offset", "key", "version", "event_type", "event_id")
    return {name: getattr(record, name) for name in shown}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--topic", help="ghosts of this topic")
    parser.add_argument("--partition", type=partition, metavar="N", help="of this partition; needs --topic")
    parser.add_argument("--offset", type=offset, metavar="N", help="the one at this offset; needs --partition")
    parser.add_argument(
        "--all",
        action="store_true",
        help="every ghost on the topics that the service writes; with --missing, every gap",
    )
    parser.add_argument(
        "--missing",
        action="store_true",
        help="in place of ghosts: records that the service's own consumer never saw, since its topic had lost them",
    )
    add_execution(parser)


ACKNOWLEDGE: Final = Verb(
    _acknowledge,
    "Acknowledge ghosts, records whose event is in no outbox: without --execute, list them. verify counts them apart "
    "afterwards and does not fail for them; the records stay on the topic. With --missing: records that the service's "
    "consumer never saw; it is ready afterwards.",
    "outbox acknowledge --service order --topic order.events.v1 --partition 0 --offset 1207 --execute --reason 'told'",
    _arguments,
)
