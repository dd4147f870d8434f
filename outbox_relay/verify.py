"""The completeness proof: outboxes, topics and inboxes hold the same events, in the same order.

It may run while the system works. Each book is read at another moment, so the sequence of the readings decides what
may be called a fault:

    1. each outbox with its cursor, in one snapshot    what the cursor has passed must be on its topic, or be parked
    2. the topics, to the ends that stood then          what came since is simply not asked for
    3. what the topics have and 1 did not show, again    committed since: no fault. Still unknown: a ghost
    4. each group's offsets, then its inbox             what lies below the offset must be in the inbox, because a
                                                        consumer commits its database first

Left out with right: events older than their topic keeps, or than the inbox remembers. A record that came twice is
counted and is no fault, since that is what the relay promises. A replay puts old versions behind newer ones on
purpose: its records are counted apart and not held against the order; one that is for all mends what was lost.
Memory: some 300 bytes a public event.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import psycopg

from outbox_relay import decisions, topic
from outbox_relay.places import SUFFIX, UNBOUNDED, Places, ask
from schemas.topics import FOR_EVER, TOPICS

Kind = Literal["lost", "reordered", "ghost", "unreadable", "versions", "cursor", "not received", "row"]
Progress = Callable[[int, int], object]

# Contiguous from 1, and rising with the position: `setval`, explicit ids and a truncated table all show here.
VERSIONS: Final = """
SELECT aggregate_type, aggregate_id, count(*), max(aggregate_version) FROM (
    SELECT aggregate_type, aggregate_id, aggregate_version,
           row_number() OVER (PARTITION BY aggregate_type, aggregate_id ORDER BY position) AS nth
    FROM outbox
) AS numbered
GROUP BY 1, 2 HAVING bool_or(aggregate_version <> nth) ORDER BY 1, 2
"""
PUBLIC: Final = f"""
SELECT outbox.event_id, outbox.position, topic, aggregate_id, aggregate_version, event_type, recorded_at
FROM outbox LEFT JOIN published ON published.id = outbox.event_id AND published.status <> 2
WHERE topic IS NOT NULL AND published.id IS NULL AND NOT {decisions.IS_DISCARDED}
"""  # noqa: S608 - put together from constants
CURSOR: Final = "SELECT position, missing, coalesce((SELECT max(position) FROM outbox), 0) FROM outbox_cursor"
KNOWN: Final = "SELECT event_id FROM outbox WHERE event_id = ANY(%s)"
# A message is remembered for as long as the row that is kept shortest.
INBOX: Final = "SELECT split_part(msg_id, ':', 2) FROM received WHERE msg_id LIKE %s"
MEMORY: Final = "SELECT min(expires_at - added) FROM received WHERE status <> -1"


class Fault(NamedTuple):
    """Something that does not match, and where."""

    kind: Kind
    service: str
    place: str
    says: str


class Public(NamedTuple):
    """A committed event that must be on a topic."""

    event_id: UUID
    position: int
    topic: str
    key: str
    version: int
    event_type: str
    recorded_at: datetime


@dataclass(slots=True)
class Outbox:
    """One service's outbox at one moment."""

    service: str
    position: int
    gaps: list[tuple[int, int]]
    public: list[Public]
    faults: list[Fault] = field(default_factory=list[Fault])
    discarded: int = 0

    def passed(self, position: int) -> bool:
        """Say whether the cursor has passed the position."""
        return position <= self.position and not any(first <= position <= last for first, last in self.gaps)


@dataclass(slots=True)
class Proof:
    """What was found."""

    events: int = 0
    records: int = 0
    waiting: int = 0
    repeated: int = 0
    replayed: int = 0
    discarded: int = 0
    acknowledged: int = 0
    faults: list[Fault] = field(default_factory=list[Fault])

    def counts(self) -> dict[str, int]:
        """Return how many faults of each kind there are, with what was looked at."""
        found = Counter(fault.kind for fault in self.faults)
        names = ("events", "records", "waiting", "repeated", "replayed", "discarded", "acknowledged")
        return {name: getattr(self, name) for name in names} | {kind.replace(" ", "_"): found[kind] for kind in KINDS}


OF_KEY: Final = attrgetter("topic", "key")
KINDS: Final[Sequence[Kind]] = ("lost", "reordered", "ghost", "unreadable", "versions", "cursor", "not received", "row")


def read_outbox(service: str, connection: psycopg.Connection) -> Outbox:
    """Return the service's public events with its cursor, in one snapshot. Raises psycopg.Error."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with connection.transaction():
        found = connection.execute(CURSOR).fetchone()
        assert found is not None
        position, missing, last = found
        gaps = list(zip(missing[::2], missing[1::2], strict=True))
        outbox = Outbox(service, position, gaps, [Public._make(row) for row in connection.execute(PUBLIC)])
        if position > last:
            says = f"stands at {position}, and the outbox ends at {last}: rows were taken away"
            outbox.faults.append(Fault("cursor", service, "outbox_cursor", says))
        outbox.discarded = decisions.count_discarded(connection)
        for kind, key, count, version in connection.execute(VERSIONS):
            if decisions.explain_versions(connection, kind, key):
                continue
            says = f"{count} events up to version {version}; want 1 to {count}, in the order of their positions"
            outbox.faults.append(Fault("versions", service, f"{kind}/{key}", says))
    return outbox


class Topics:
    """What stands on the topics: where each event was first seen, in sequence, and what names no event or version."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self.first: dict[UUID, topic.Record] = {}
        self.repeated = self.replayed = 0
        self.records = 0
        self.nameless: list[topic.Record] = []

    def take(self, records: Iterable[topic.Record]) -> None:
        """Read records, in order within each partition."""
        for record in records:
            self.records += 1
            if record.event_id is None or record.trouble:
                self.nameless.append(record)
            if record.event_id is None:
                continue
            if record.replayed:
                self.replayed += 1
                if record.replay_target is None:
                    self.first.setdefault(record.event_id, record)
            elif record.event_id in self.first and not self.first[record.event_id].replayed:
                self.repeated += 1
            else:
                self.first.pop(record.event_id, None)  # a replay's, which says nothing about the relay's sequence
                self.first[record.event_id] = record

    def reordered(self, ghosts: Collection[UUID]) -> list[Fault]:
        """Return what came first after a later version of its key; a ghost's version may rightly come once more."""
        found: list[Fault] = []
        judged = (
            one
            for event_id, one in self.first.items()
            if event_id not in ghosts and not one.replayed and not one.trouble
        )
        for _, records in groupby(sorted(judged, key=OF_KEY), key=OF_KEY):
            before = 0
            for record in _place_by_place(list(records)):
                if record.version <= before:
                    place = f"{record.topic}/{record.partition}/{record.offset}"
                    says = f"key {record.key}: version {record.version} came after {before}"
                    found.append(Fault("reordered", "-", place, says))
                before = max(before, record.version)
        return found


def _place_by_place(records: Sequence[topic.Record]) -> list[topic.Record]:
    """Return a key's records as they stand: a topic that has grown has some in a second partition, read any time."""
    begins: dict[int, int] = {}
    for record in records:
        begins[record.partition] = min(record.version, begins.get(record.partition, record.version))
    return sorted(records, key=lambda record: begins[record.partition])


def compare(outboxes: Mapping[str, Outbox], topics: Topics, now: datetime) -> Proof:
    """Return the proof so far: the outboxes against the topics. Ghosts need another look, see `unknown`."""
    proof = Proof(records=topics.records, repeated=topics.repeated, replayed=topics.replayed)
    kept = {
        one.name: None if one.retention_ms == FOR_EVER else timedelta(milliseconds=one.retention_ms) for one in TOPICS
    }
    for outbox in outboxes.values():
        proof.faults += outbox.faults
        proof.discarded += outbox.discarded
        proof.events += len(outbox.public)
        for event in outbox.public:
            if event.event_id in topics.first:
                continue
            days = kept.get(event.topic)
            if not outbox.passed(event.position):
                proof.waiting += 1
            elif days is None or event.recorded_at > now - days:
                says = f"{event.topic} key {event.key} version {event.version}: event {event.event_id} is not there"
                proof.faults.append(Fault("lost", outbox.service, f"position {event.position}", says))
    return proof


def unknown(outboxes: Mapping[str, Outbox], topics: Topics) -> list[topic.Record]:
    """Return the records whose events were not in any outbox when it was read."""
    committed = {event.event_id for outbox in outboxes.values() for event in outbox.public}
    return [record for event_id, record in topics.first.items() if event_id not in committed]


def known(connection: psycopg.Connection, records: Sequence[topic.Record]) -> set[UUID]:
    """Return which of the records' events the database has. Raises psycopg.Error."""
    return {row[0] for row in connection.execute(KNOWN, ([record.event_id for record in records],))}


def ghosts(records: Iterable[topic.Record], known: decisions.Ghosts, proof: Proof) -> None:
    """Note these records, whose event no database has, as faults; those that operators acknowledged are counted."""
    for record in records:
        if known.has(None if record.trouble else record.event_id, record.topic, record.partition, record.offset):
            proof.acknowledged += 1
            continue
        says = f"version {record.version}: event {record.event_id} is in no outbox"
        if record.event_id is None:
            says = "a record without an event's id"
        kind: Kind = "unreadable" if record.trouble else "ghost"
        place = f"{record.topic}/{record.partition}/{record.offset}"
        proof.faults.append(Fault(kind, "-", place, f"key {record.key}: {record.trouble or says}"))


def reacts_to(service: str) -> set[str]:
    """Return the event types that the service reacts to; its reactions need neither database nor broker."""
    try:
        reactions = import_module(f"{service}{SUFFIX}.reactions")
    except ModuleNotFoundError:
        return set()
    marked: list[Any] = [getattr(function, "reacts_to", None) for function in vars(reactions).values()]
    return {event.event_type for event in marked if event is not None}


def missing_in_inbox(
    service: str,
    connection: psycopg.Connection,
    expected: Iterable[tuple[Public, topic.Record]],
    offsets: Mapping[topic.Partition, int],
    now: datetime,
) -> list[Fault]:
    """Return what the service's group has passed and its inbox does not have. Raises psycopg.Error."""
    (memory,) = connection.execute(MEMORY).fetchone() or (None,)
    skipped = decisions.skipped(connection)
    received = {row[0] for row in connection.execute(INBOX, (f"{service}{SUFFIX}:%",))}
    since = now - memory if memory else datetime.min.replace(tzinfo=UTC)
    return [
        Fault(
            "not received",
            service,
            f"{record.topic}/{record.partition}/{record.offset}",
            f"{event.event_type} key {event.key} version {event.version}: event {event.event_id} is not in its inbox",
        )
        for event, record in expected
        if record.offset < offsets.get((record.topic, record.partition), 0)
        and event.recorded_at > since
        and str(event.event_id) not in received
        and (record.topic, record.partition, record.offset) not in skipped
    ]


def prove(places: Places, services: Sequence[str], progress: Progress) -> tuple[Proof, dict[str, str]]:
    """Compare outboxes, topics and inboxes; returns what was found, and which databases did not answer.

    Blocks for as long as reading all of it takes. Raises DependencyDown where the broker does not answer.
    """
    outboxes, failures = ask(places, services, read_outbox, UNBOUNDED)
    topics = Topics()
    names = sorted(_topics_of(outboxes))
    topics.take(topic.read(places.broker, names, progress))
    proof = compare(outboxes, topics, datetime.now(UTC))
    strangers = unknown(outboxes, topics)
    found, more = ask(places, list(outboxes), lambda _, connection: known(connection, strangers), UNBOUNDED)
    committed = set[UUID]().union(*found.values())
    decided, _ = ask(places, list(outboxes), lambda _, connection: decisions.acknowledged(connection), UNBOUNDED)
    nobodys = [*topics.nameless, *(one for one in strangers if one.event_id not in committed and not one.trouble)]
    ghosts(nobodys, decisions.Ghosts.united(decided.values()), proof)
    proof.faults += topics.reordered({record.event_id for record in strangers if record.event_id} - committed)
    received, lost = ask(places, list(outboxes), _inbox_question(places, outboxes, topics), UNBOUNDED)
    for faults in received.values():
        proof.faults += faults
    return proof, failures | more | lost


def _topics_of(outboxes: Mapping[str, Outbox]) -> set[str]:
    """Name the topics that events went to, and those of an outbox that should have some and has none left."""
    used = {event.topic for outbox in outboxes.values() for event in outbox.public}
    return used | {one.name for one in TOPICS if one.name.partition(".")[0] in outboxes}


def _inbox_question(
    places: Places, outboxes: Mapping[str, Outbox], topics: Topics
) -> Callable[[str, psycopg.Connection], list[Fault]]:
    public = [event for outbox in outboxes.values() for event in outbox.public if event.event_id in topics.first]
    now = datetime.now(UTC)

    def question(service: str, connection: psycopg.Connection) -> list[Fault]:
        wanted = reacts_to(service)
        expected = [(event, topics.first[event.event_id]) for event in public if event.event_type in wanted]
        if not expected:
            return []
        names = {event.topic for event, _ in expected}
        offsets = topic.committed(places.broker, f"{service}{SUFFIX}", names)
        return missing_in_inbox(service, connection, expected, offsets, now)

    return question
