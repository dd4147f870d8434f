"""The completeness proof: outboxes, topics and inboxes hold the same events, in the same order.

It may run while the system works. Each database is read at another moment, so the sequence of the readings decides what
may be called a fault:

    1. each outbox's cursor, then its rows, in pieces  what the cursor had passed must be on its topic, or a dead letter
    2. the topics, to the ends that stood then         what came since is simply not asked for
    3. what the topics have and 1 did not show, again  committed since: no fault. Still unknown: a ghost
    4. each group's offsets, then its inbox            what lies below the offset must be in the inbox, because a
                                                       consumer commits its database first

No transaction is open for longer than a piece takes. A row that becomes visible after its piece was read is found by 3;
one that becomes a dead letter or is published meanwhile was so before the cursor passed it.

A topic may have two sources that take turns, as while rows change hands. A record belongs to who wrote it: one of a
source that is none of these services' is counted by its name, and no ghost. A row whose version before is not in its
outbox follows where a record of another source has that version, among those that were read.

Rightly left out: events older than their topic keeps, or than the inbox remembers. A record that came twice is
counted and is no fault, since that is what the relay promises. A replay puts old versions behind newer ones on
purpose: its records are counted apart and not held against the order; one that is for all repairs what was lost. A
record of an archived event is counted too: its event was proved before it left the log.

From a position on: the topics are read from the time of its event. Records of earlier events that are met there are
looked up as in 3, and nothing is asked of them: they were proved.

Memory is bounded by the ledger's cache and a batch of each reading.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from outbox_relay.operations import names as service_names
from outbox_relay.operations.events import listing
from outbox_relay.operations.partitions import layout
from outbox_relay.operations.partitions.layout import Horizon
from outbox_relay.operations.reactions import recorded
from outbox_relay.operations.topics import topic
from outbox_relay.operations.topology import UNBOUNDED, Topology, ask
from outbox_relay.operations.verify import inboxes, mark, outboxes
from outbox_relay.operations.verify.faults import Fault, Faults
from outbox_relay.operations.verify.ledger import Entry, Ledger
from outbox_relay.operations.verify.outboxes import OutboxState, Progress
from outbox_relay.operations.verify.topics import Topics, judge_sequence, retained_since
from waybill.contracts.topics import topics as declared_topics

Bar = Callable[[str], AbstractContextManager[Progress]]
# None: from the mark that the last proof left.
Start = int | datetime | None
EVERYTHING: Final = 0  # the position after which a full proof starts


@dataclass(slots=True)
class Proof:
    """What was looked at, and which databases did not answer, and why."""

    events: int = 0
    records: int = 0
    waiting: int = 0
    repeated: int = 0
    replayed: int = 0
    discarded: int = 0
    archived: int = 0
    foreign: dict[str, int] = field(default_factory=dict[str, int])
    after: dict[str, int] = field(default_factory=dict[str, int])
    horizons: dict[str, Horizon] = field(default_factory=dict[str, Horizon])
    settled: dict[str, int] = field(default_factory=dict[str, int])
    failures: dict[str, str] = field(default_factory=dict[str, str])

    def counts(self) -> dict[str, int]:
        """Return how much was looked at."""
        names = ("events", "records", "waiting", "repeated", "replayed", "discarded", "archived")
        return {name: getattr(self, name) for name in names} | {"other_sources": sum(self.foreign.values())}


def prove(topology: Topology, services: Sequence[str], start: Start, faults: Faults, bar: Bar) -> Proof:
    """Compare outboxes, topics and inboxes, from `start` on; every fault goes to `faults`.

    Blocks for as long as reading all of it takes. Raises DependencyDown where the broker does not answer, sqlite3.Error
    where the disk has no room.
    """
    proof, kafka = Proof(), topology.broker

    def asked(services: Sequence[str], question: Callable[[str, psycopg.Connection], Any]) -> dict[str, Any]:
        answers, failures = ask(topology, services, question, UNBOUNDED)
        proof.failures |= failures
        return answers

    with closing(Ledger()) as ledger:

        def read(service: str, connection: psycopg.Connection) -> OutboxState:
            outbox = outboxes.look(service, connection, _after(connection, start))
            ledger.own(service, service_names.sources(service, connection))
            with bar(f"events of {service}") as progress:
                outboxes.read(connection, outbox, ledger, faults, progress)
            return outbox

        states: dict[str, OutboxState] = asked(services, read)
        proof.horizons = asked(list(states), lambda _, connection: layout.horizon(connection))
        topics = Topics(ledger, faults)
        with bar("records") as progress:
            for records in topic.read(kafka, _topics(states, ledger), progress):
                topics.take(records)
        deque(map(faults.add, ledger.unfollowed()), 0)
        gone = asked(list(states), lambda service, connection: outboxes.resolve(service, connection, ledger))
        proof.archived = sum(gone.values())
        _judge_absent(ledger, faults, proof)
        if states.keys().isdisjoint(proof.failures):  # else one that no longer answers may have them
            for entry in ledger.ghosts():
                faults.add(_ghost(entry))
        proof.foreign = ledger.foreign()
        judge_sequence(ledger.standing(), faults.add)
        proof.events, seen = ledger.counts()
        proof.discarded = sum(outbox.discarded for outbox in states.values())
        proof.records, proof.replayed = topics.records, topics.replayed
        proof.repeated = topics.first_or_copy - seen
        names = _topics(states, ledger)

        def receipts(service: str, connection: psycopg.Connection) -> dict[str, int]:
            reactions = recorded(service, connection)
            if not reactions.types:
                return {}
            group = service_names.recorded(service, connection).group
            offsets = topic.committed(kafka, group, names)
            inbox = inboxes.open_inbox(service, group, connection, reactions, offsets)
            return inboxes.judge(connection, inbox, ledger, faults)

        pending = asked(list(states), receipts)
        proof.after = {service: outbox.after for service, outbox in states.items()}
        proof.settled = _settled(states, pending)
    return proof


def save_mark(topology: Topology, proof: Proof, by: str) -> None:
    """Let the next proof start where this one, which found nothing, ends. What cannot be kept is proved again."""
    ask(
        topology,
        [service for service, position in proof.settled.items() if position],
        lambda service, connection: mark.save(connection, proof.settled[service], by),
    )


def _after(connection: psycopg.Connection, start: Start) -> int:
    if start is None:
        return mark.read(connection)
    return start if isinstance(start, int) else listing.before(connection, start)


def _topics(states: Mapping[str, OutboxState], ledger: Ledger) -> dict[str, datetime | None]:
    """Name the topics that events went to, and those of an outbox that should have some and has none left.

    With the time from which on each is to be read.
    """
    found: dict[str, datetime | None] = {}
    for name, service in [*ledger.topics(), *((one.name, one.name.partition(".")[0]) for one in declared_topics())]:
        if service in states:
            found[name] = states[service].since
    return found


def _judge_absent(ledger: Ledger, faults: Faults, proof: Proof) -> None:
    kept = retained_since(datetime.now(UTC))
    for entry in ledger.absent():
        if not entry.passed:
            proof.waiting += 1
        elif entry.is_retained(kept):
            faults.add(
                Fault(
                    kind="lost",
                    says=f"{entry.topic} key {entry.key} version {entry.version}: event {entry.event_id} is not there",
                    **entry.fields(),
                    remedy=f"outbox replay --service {entry.service} --event {entry.event_id} --execute --reason '…'",
                )
            )


def _ghost(entry: Entry) -> Fault:
    says = f"key {entry.key} version {entry.version}: event {entry.event_id} is in no outbox"
    return Fault(kind="ghost", says=says, **entry.fields())


def _settled(states: Mapping[str, OutboxState], pending: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Return, by service, the position up to which everything has arrived everywhere."""
    return {
        service: min([outbox.settled, *(first[service] - 1 for first in pending.values() if service in first)])
        for service, outbox in states.items()
    }
