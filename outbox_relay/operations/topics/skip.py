"""`outbox skip`: a record that its consumer can neither handle nor keep as a dead letter is passed over, on record.

The consumer waits at such a record, names it in `/readyz` and the log, and tries it again. With each retry it asks its
own database whether an operator has decided to skip it, so it goes on without a restart. The record stays on its topic.
Later records of its key are handled, as far as they make sense without it.

Refused where the decision could not mean what the operator thinks: the consumer has read past the record, or has it in
its inbox already (a dead letter is for `discard`), or no such record is there.
"""

import argparse
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from outbox_relay.cli import screen
from outbox_relay.cli.verb import DONE, MISMATCH, Given, Verb, add_execution, named, refuse_silent_execution
from outbox_relay.databases import full_name, short_name
from outbox_relay.operations import audit, decisions
from outbox_relay.operations.dead_letters.dead_letters import offset, partition
from outbox_relay.operations.decisions import Kind, Subject
from outbox_relay.operations.topics import topic
from outbox_relay.operations.topology import DependencyDown, Topology, UsageError, ask
from outbox_relay.operations.verify.inboxes import read_topics
from waybill.consumer.message import Message
from waybill.consumer.polling import read
from waybill.deciders.outcomes import Unreadable

# -1 is django_outbox_pattern's StatusChoice.FAILED.
RECEIVED: Final = "SELECT status = -1 FROM received WHERE msg_id = %s"


class Refused(Exception):
    """The record cannot be skipped; the message says why."""


class _Record(NamedTuple):
    group: str
    message: Message

    @property
    def event_id(self) -> UUID | None:
        with suppress(Unreadable):
            return UUID(self.message.event_id)
        return None

    def line(self) -> dict[str, Any]:
        told = self.message
        return {
            "group": self.group,
            "topic": told.topic,
            "partition": told.partition,
            "offset": told.offset,
            "key": told.key,
            "type": told.event_type,
            "event_id": self.event_id,
            "correlation_id": told.headers.get("ce_correlationid"),
        }


def _skip(given: Given, topology: Topology) -> int:
    refuse_silent_execution(given)
    service = _consuming(given, topology)
    try:
        record = find(topology, service, given.topic, given.partition, given.offset)
        _answer(topology, service, lambda connection: _refuse_known(connection, record))
        if given.execute:
            _answer(topology, service, lambda connection: skip(connection, record, given.reason, given.by))
    except Refused as refused:
        screen.tell(f"{given.topic}/{given.partition}/{given.offset}: {refused}; nothing is changed")
        return MISMATCH
    (screen.put_json if given.json else screen.put_table)([record.line()])
    if given.execute:
        screen.tell(f"skipped: the consumer of {service} passes over it with its next retry, within a minute")
    else:
        screen.tell("dry run; --execute --reason '…' skips it")
    return DONE


def _consuming(given: Given, topology: Topology) -> str:
    services = named(given, topology)
    if len(services) > 1:
        raise UsageError("a record is skipped for one consumer; give --service once, the service that reads the topic")
    known = read_topics(services[0])
    if given.topic not in known:
        raise UsageError(
            f"{services[0]} does not read topic {given.topic!r}; it reads {', '.join(sorted(known)) or 'none'}"
        )
    return services[0]


def find(topology: Topology, service: str, name: str, partition: int, offset: int) -> _Record:
    """Return the record where the service has still to handle it. Raises Refused or DependencyDown."""
    group = full_name(service)
    raw = topic.at(topology.broker, name, partition, offset)
    if raw is None:
        raise Refused("the topic has no such record")
    committed = topic.committed(topology.broker, group, [name])[name, partition]
    if offset < committed:
        raise Refused(f"group {group} has read past it, up to offset {committed}")
    return _Record(group, read(raw))


def skip(connection: psycopg.Connection, record: _Record, reason: str, by: str) -> None:
    """Keep on record that the consumer shall pass over it. Raises psycopg.Error."""
    message = record.message
    with connection.transaction():
        what = {"group": record.group, "record": message.place, "key": message.key}
        action = audit.record(connection, "skip", reason, what, by)
        subject = Subject(
            record.event_id, message.event_type, message.topic, message.partition, message.offset, message.key
        )
        decisions.record(connection, Kind.SKIPPED_RECORD, [subject], action)


def _refuse_known(connection: psycopg.Connection, record: _Record) -> None:
    message = record.message
    event_id = str(record.event_id) if record.event_id else None
    if (message.topic, message.partition, message.offset, event_id) in decisions.skipped(connection):
        raise Refused("it is skipped already")
    found = connection.execute(RECEIVED, (message.received_as(record.group),)).fetchone()
    if found is not None:
        dead = f"a dead letter: outbox discard --service {short_name(record.group)}"
        raise Refused(f"its consumer has it already as {dead if found[0] else 'handled'}")


def _answer(topology: Topology, service: str, question: Callable[[psycopg.Connection], Any]) -> Any:
    answers, failures = ask(topology, [service], lambda _, connection: question(connection))
    for why in failures.values():
        raise DependencyDown(f"database {service}: {why}")
    return answers[service]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--topic", required=True, help="the record's topic")
    parser.add_argument("--partition", type=partition, required=True, metavar="N", help="its partition")
    parser.add_argument("--offset", type=offset, required=True, metavar="N", help="its offset")
    add_execution(parser)


SKIP: Final = Verb(
    _skip,
    "Skip a record that a service's consumer can neither handle nor keep, and waits at: without --execute, show it. "
    "The consumer passes over it without a restart; verify does not miss it; the record stays on the topic.",
    "outbox skip --service inventory --topic order.events.v1 --partition 2 --offset 4711 --execute --reason 'a test'",
    _arguments,
)
