"""`outbox acknowledge`: put on record that ghosts are known, or with `--missing`, records that a consumer never saw."""

import argparse
from typing import Any, Final

from outbox_relay.cli import screen
from outbox_relay.cli.verb import (
    DONE,
    MISMATCH,
    Given,
    Verb,
    add_execution,
    named_one,
    offset,
    partition,
    refuse_silent_execution,
)
from outbox_relay.operations import names
from outbox_relay.operations.reactions import topics_read
from outbox_relay.operations.topics import acknowledge, missing
from outbox_relay.operations.topics.acknowledge import Wanted
from outbox_relay.operations.topics.topic import TopicRecord
from outbox_relay.operations.topology import Topology, UsageError


def _acknowledge(given: Given, topology: Topology) -> int:
    refuse_silent_execution(given)
    service = named_one(given, topology, "the decision is kept in one database, of the service that writes the topic")
    _check(given)
    return _missing(given, topology, service) if given.missing else _ghosts(given, topology, service)


def _check(given: Given) -> None:
    if given.all == (given.topic is not None):
        raise UsageError("choose what to acknowledge: --topic, with --partition and --offset for one record; or --all")
    if given.partition is not None and given.topic is None:
        raise UsageError("--partition needs --topic")
    if given.offset is not None and given.partition is None:
        raise UsageError("--offset needs --topic and --partition")
    if given.missing and given.offset is not None:
        raise UsageError("--missing takes whole gaps: leave out --offset")


def _ghosts(given: Given, topology: Topology, service: str) -> int:
    topics = [given.topic] if given.topic else acknowledge.topics_of(topology, service)
    wanted = Wanted(topics, given.partition, given.offset)
    with screen.progress("records") as progress:
        found = list(acknowledge.find(topology, wanted, progress))
    if found and given.execute:
        acknowledge.acknowledge(topology, service, found, given.reason, given.by)
    screen.put(given, [_line(record) for record in found])
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
        record = f"{wanted.topics[0]}/{wanted.partition}/{wanted.offset}"
        why = "the topic has no such record, its event is in an outbox, another source's, or acknowledged already"
        screen.tell(f"no ghost at {record}: {why}; outbox verify --full --service {service} lists ghosts")


def _line(record: TopicRecord) -> dict[str, Any]:
    shown = ("topic", "partition", "offset", "key", "version", "event_type", "event_id")
    return {name: getattr(record, name) for name in shown}


def _missing(given: Given, topology: Topology, service: str) -> int:
    if given.execute:
        found = missing.acknowledge(topology, service, given.topic, given.partition, given.reason, given.by)
    else:
        found = missing.unacknowledged(topology, service, given.topic, given.partition)
    screen.put(given, [missing.shown(gap) for gap in found])
    if not found:
        where = f" on {given.topic!r}" if given.topic else ""
        known = ", ".join(topics_read(topology, service)) or "no topic"
        screen.tell(f"the consumer of {service} misses no records{where} that are not acknowledged; it reads {known}")
    elif given.execute:
        screen.tell(f"{len(found)} gaps acknowledged; the consumer is ready within some seconds")
    else:
        replay = found[0].remedy(names.groups(topology, [service])[service])
        screen.tell(f"dry run: {len(found)} gaps; {replay} would send them again")
    return DONE if found else MISMATCH


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


VERBS: Final = {
    "acknowledge": Verb(
        _acknowledge,
        "Acknowledge ghosts, records whose event is in no outbox: without --execute, list them. verify counts them "
        "apart afterwards and does not fail for them; the records stay on the topic. With --missing: records that the "
        "service's consumer never saw; it is ready afterwards.",
        "outbox acknowledge --service order --topic order.events.v1 --partition 0 --offset 1207 --execute "
        "--reason 'told'",
        _arguments,
    )
}
