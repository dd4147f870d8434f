"""A record that its consumer can neither handle nor keep as a dead letter is passed over, on record.

The consumer waits at such a record, names it in `/readyz` and the log, and tries it again. With each retry it asks its
own database whether an operator has decided to skip it, so it goes on without a restart. The record stays on its topic.
Later records of its key are handled, as far as they make sense without it.

Refused where the decision could not mean what the operator thinks: the consumer has read past the record, or has it in
its inbox already (a dead letter is for `discard`), or no such record is there.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from outbox_relay.operations import audit, decisions, names
from outbox_relay.operations.decisions import Kind, Subject
from outbox_relay.operations.topics import topic
from outbox_relay.operations.topology import DependencyDown, Topology, ask
from waybill.consumer.message import Message
from waybill.consumer.polling import read
from waybill.deciders.outcomes import Unreadable

# -1 is django_outbox_pattern's StatusChoice.FAILED.
RECEIVED: Final = "SELECT status = -1 FROM received WHERE msg_id = %s"


class NotSkippable(Exception):
    """The record cannot be skipped; the message says why."""


class SkippableRecord(NamedTuple):
    """A record that a consumer group has still to handle."""

    group: str
    message: Message

    @property
    def event_id(self) -> UUID | None:
        """Return the event's id, None where its headers do not say."""
        with suppress(Unreadable):
            return UUID(self.message.event_id)
        return None


def find(topology: Topology, service: str, name: str, partition: int, offset: int) -> SkippableRecord:
    """Return a record that the service has still to handle. Raises NotSkippable, DependencyDown."""
    group = names.groups(topology, [service])[service]
    raw = topic.at(topology.broker, name, partition, offset)
    if raw is None:
        raise NotSkippable("the topic has no such record")
    committed = topic.committed(topology.broker, group, [name])[name, partition]
    if offset < committed:
        raise NotSkippable(f"group {group} has read past it, up to offset {committed}")
    record = SkippableRecord(group, read(raw))
    _answer(topology, service, lambda connection: _refuse_known(service, connection, record))
    return record


def skip(topology: Topology, service: str, record: SkippableRecord, reason: str, by: str) -> None:
    """Let the service's consumer pass over the record, on record. Raises DependencyDown."""
    _answer(topology, service, lambda connection: _decide(connection, record, reason, by))


def _decide(connection: psycopg.Connection, record: SkippableRecord, reason: str, by: str) -> None:
    message = record.message
    with connection.transaction():
        what = {"group": record.group, "record": message.place, "key": message.key}
        action = audit.record(connection, "skip", reason, what, by)
        subject = Subject(
            record.event_id, message.event_type, message.topic, message.partition, message.offset, message.key
        )
        decisions.record(connection, Kind.SKIPPED_RECORD, [subject], action)


def _refuse_known(service: str, connection: psycopg.Connection, record: SkippableRecord) -> None:
    message = record.message
    event_id = str(record.event_id) if record.event_id else None
    if (message.topic, message.partition, message.offset, event_id) in decisions.skipped(connection):
        raise NotSkippable("it is skipped already")
    found = connection.execute(RECEIVED, (message.received_as(record.group),)).fetchone()
    if found is not None:
        dead = f"a dead letter: outbox discard --service {service}"
        raise NotSkippable(f"its consumer has it already as {dead if found[0] else 'handled'}")


def _answer(topology: Topology, service: str, question: Callable[[psycopg.Connection], Any]) -> Any:
    answers, failures = ask(topology, [service], lambda _, connection: question(connection))
    for why in failures.values():
        raise DependencyDown(f"database {service}: {why}")
    return answers[service]
