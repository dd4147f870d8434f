"""`outbox skip`: pass over a record that a consumer can neither handle nor keep as a dead letter."""

import argparse
from typing import Any, Final

from outbox_relay.cli import screen
from outbox_relay.cli.verb import (
    DONE,
    MISMATCH,
    Given,
    Verb,
    add_execution,
    add_record_address,
    named_one,
    refuse_silent_execution,
)
from outbox_relay.operations.reactions import topics_read
from outbox_relay.operations.topics import skip
from outbox_relay.operations.topics.skip import NotSkippable, SkippableRecord
from outbox_relay.operations.topology import Topology, UsageError


def _skip(given: Given, topology: Topology) -> int:
    refuse_silent_execution(given)
    service = _consuming(given, topology)
    try:
        record = skip.find(topology, service, given.topic, given.partition, given.offset)
    except NotSkippable as error:
        screen.tell(f"{given.topic}/{given.partition}/{given.offset}: {error}; nothing is changed")
        return MISMATCH
    if given.execute:
        skip.skip(topology, service, record, given.reason, given.by)
    screen.put(given, [_line(record)])
    if given.execute:
        screen.tell(f"skipped: the consumer of {service} passes over it with its next retry, within a minute")
    else:
        screen.tell("dry run; --execute --reason '…' skips it")
    return DONE


def _consuming(given: Given, topology: Topology) -> str:
    service = named_one(given, topology, "a record is skipped for one consumer, that of one service")
    known = topics_read(topology, service)
    if given.topic not in known:
        raise UsageError(f"{service} does not read topic {given.topic!r}; it reads {', '.join(known) or 'none'}")
    return service


def _line(record: SkippableRecord) -> dict[str, Any]:
    message = record.message
    return {
        "group": record.group,
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "key": message.key,
        "type": message.event_type,
        "event_id": record.event_id,
        "correlation_id": message.headers.get("ce_correlationid"),
    }


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_record_address(parser)
    add_execution(parser)


VERBS: Final = {
    "skip": Verb(
        _skip,
        "Skip a record that a service's consumer can neither handle nor keep, and waits at: without --execute, show "
        "it. The consumer passes over it without a restart; verify does not miss it; the record stays on the topic.",
        "outbox skip --service inventory --topic order.events.v1 --partition 2 --offset 4711 --execute "
        "--reason 'a test'",
        _arguments,
    )
}
