"""`outbox grow` and `acls`: more partitions for a topic, and no key out of its order; who may do what with it."""

import argparse
from typing import Final

from outbox_relay.cli import screen
from outbox_relay.cli.verb import (
    DONE,
    MISMATCH,
    Given,
    Verb,
    add_record,
    code_of,
    count,
    refuse_silent_execution,
    seconds,
)
from outbox_relay.operations.topics import access_control, grow
from outbox_relay.operations.topics.grow import Growth
from outbox_relay.operations.topology import Topology, UsageError, ask
from waybill.contracts.topics import topics

WAIT_SECONDS: Final = 30.0


def _grow(given: Given, topology: Topology) -> int:
    service = grow.writer_of(given.topic, given.service, topology)
    now = grow.partitions_of(given.topic, topology)
    if given.to < now:
        raise UsageError(f"{given.topic} has {now} partitions; Kafka takes none away, and {given.to} are fewer")
    if given.to == now:
        screen.tell(f"{given.topic} has {now} partitions; nothing is changed")
        return DONE
    refuse_silent_execution(given)
    growth = Growth(given.topic, service, given.to, tuple(given.regardless))
    if given.execute:
        obstacles = grow.grow(topology, growth, given.wait, given.reason, given.by)
    else:
        obstacles = grow.wait_until_quiet(topology, growth, given.wait)
    for line in obstacles:
        screen.tell(line)
    if obstacles:
        screen.tell(f"{given.topic} keeps its {now} partitions")
        return MISMATCH
    line = {"topic": given.topic, "service": service, "partitions": now, "to": given.to, "grown": given.execute}
    screen.put(given, [line])
    if given.execute:
        screen.tell(f"go on with: outbox resume --service {service} --reason '{given.topic} has grown'")
    else:
        screen.tell("dry run: nothing stands in the way; --execute --reason '…' grows it")
    return DONE


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", metavar="TOPIC")
    parser.add_argument("--to", type=count, required=True, metavar="N", help="how many partitions it shall have")
    parser.add_argument("--execute", action="store_true", help="grow it; without it, say what stands in the way")
    parser.add_argument(
        "--regardless",
        action="append",
        default=[],
        metavar="GROUP",
        help="grow though this consumer group has not read to the end; it may see keys out of order; repeatable",
    )
    parser.add_argument(
        "--wait",
        type=seconds,
        default=WAIT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for relay and groups (default {WAIT_SECONDS:.0f})",
    )
    add_record(parser, required=False)
    parser.set_defaults(reason=None)


def _acls(given: Given, topology: Topology) -> int:
    known = [one.name for one in topics()]
    if given.topic and given.topic not in known:
        raise UsageError(f"there is no topic {given.topic!r}; known are {', '.join(known)}")
    if given.topic and not given.subscriber:
        raise UsageError("--topic is what a subscriber reads: give --subscriber GROUP with it")
    if given.subscriber:
        rules = [*access_control.of_subscriber(given.subscriber, [given.topic] if given.topic else known)]
        code = DONE
    else:
        answers, failures = ask(topology, topology.chosen(given.service), access_control.access_of)
        code = code_of(answers, failures)
        rules = [*access_control.of_services(answers, transactions=given.transactions)]
        rules += [] if given.service or failures else access_control.of_operators(answers)
    if given.json:
        screen.put_json(rule._asdict() for rule in rules)
    else:
        for rule in rules:
            screen.put_line(access_control.command(rule, topology.kafka or "HOST:PORT"))
    return code


def _acls_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--transactions", action="store_true", help="relays run with WAYBILL_RELAY_TRANSACTIONS")
    parser.add_argument("--subscriber", metavar="GROUP", help="only what another reader needs, called as its group")
    parser.add_argument("--topic", help="the one topic that the subscriber reads (default: all)")


VERBS: Final = {
    "grow": Verb(
        _grow,
        "Give a topic more partitions while its relay is paused and every consumer group has read to its end, so that "
        "each key keeps its order: without --execute, say what stands in the way.",
        "outbox grow order.events.v1 --to 12 --execute --reason 'six consumers are not enough'",
        _arguments,
    ),
    "acls": Verb(
        _acls,
        "Print the least that each program must be allowed on the broker, as commands of Kafka's: relay and consumer "
        "of every service, this command, and the deployment step that creates topics.",
        "outbox acls --service order",
        _acls_arguments,
    ),
}
