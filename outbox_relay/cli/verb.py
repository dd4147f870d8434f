"""What a verb of the `outbox` command is, what it may take, and the code that it leaves with."""

import argparse
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from outbox_relay.cli import screen
from outbox_relay.operations import audit
from outbox_relay.operations.events import listing
from outbox_relay.operations.topology import Topology, UsageError

DONE, MISMATCH, USAGE, PARTIAL, DEPENDENCY_DOWN, INTERRUPTED = 0, 1, 2, 3, 4, 130
EXITS: Final = (
    "exit codes: 0 done, 1 threshold passed or mismatch, 2 usage, 3 partial (a database did not answer), "
    "4 dependency down, 130 interrupted"
)

Given = argparse.Namespace
LARGEST_COUNT: Final = 2**31 - 1  # PostgreSQL's integer: a larger number would come back as its error, not as usage
LARGEST_DIGITS: Final = 19  # of a bigint; more digits are not even converted


class Verb(NamedTuple):
    """A verb, what it does, an example, and its arguments."""

    run: Callable[[Given, Topology], int]
    summary: str
    example: str
    arguments: Callable[[argparse.ArgumentParser], None]


def code_of(answers: Mapping[str, object], failures: Mapping[str, str]) -> int:
    """Return the code for what was answered, and tell why the rest was not."""
    for service, reason in failures.items():
        screen.tell(f"database {service}: {reason}")
    if failures:
        return PARTIAL if answers else DEPENDENCY_DOWN
    return DONE


def named(given: Given, topology: Topology) -> list[str]:
    """Return the services that were named: nobody acts on all of them by leaving a word out. Raises UsageError."""
    if not given.service:
        raise UsageError(f"say which service: --service {' --service '.join(topology.databases)}")
    return topology.chosen(given.service)


def named_one(given: Given, topology: Topology, why: str) -> str:
    """Return the one service that was named. Raises UsageError, which says why there is one."""
    services = named(given, topology)
    if len(services) > 1:
        raise UsageError(f"{why}: give --service once; given are {', '.join(services)}")
    return services[0]


def refuse_silent_execution(given: Given) -> None:
    """Raise UsageError where --execute comes without a reason."""
    if given.execute and not given.reason:
        raise UsageError("--execute needs --reason, for those who read it later")


def read_filter(given: Given) -> listing.Filter:
    """Return what the arguments of `add_filters` say; raises UsageError."""
    kind, key = listing.aggregate(given.aggregate) if given.aggregate else (None, None)
    first, last = listing.positions(given.positions) if given.positions else (1, listing.LARGEST_POSITION)
    return listing.Filter(
        aggregate_type=kind,
        aggregate_id=key,
        event_types=tuple(dict.fromkeys(map(listing.event_type, given.type))),
        event_id=listing.identifier(given.event) if given.event else None,
        first=first,
        last=last,
        since=listing.moment(given.since) if given.since else None,
        until=listing.moment(given.until) if given.until else None,
    )


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Take the filters that choose events; all that are given must hold."""
    parser.add_argument("--aggregate", metavar="ID", help="ID or TYPE/ID, as in order/0198…")
    parser.add_argument(
        "--type",
        action="append",
        default=[],
        help="event type: OrderPlaced or waybill.order.OrderPlaced; may be given again, and any of them will do",
    )
    parser.add_argument("--positions", metavar="RANGE", help="7, 7..9, 7.. or ..9")
    parser.add_argument("--since", metavar="TIME", help="RFC 3339, or 15m for 15 minutes ago (s, m, h, d)")
    parser.add_argument("--until", metavar="TIME", help="the same; exclusive")


def add_record(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Take what is kept on record: why, and by whom."""
    parser.add_argument(
        "--reason", type=_told, required=required, default="no reason given", help="why, for those who read it later"
    )
    parser.add_argument(
        "--by", type=_told, metavar="NAME", default=audit.operator(), help="who acts (default: the login)"
    )


def add_record_address(parser: argparse.ArgumentParser) -> None:
    """Take where a record stands."""
    parser.add_argument("--topic", required=True, help="the record's topic")
    parser.add_argument("--partition", type=partition, required=True, metavar="N", help="its partition")
    parser.add_argument("--offset", type=offset, required=True, metavar="N", help="its offset")


def add_execution(parser: argparse.ArgumentParser) -> None:
    """Take --execute, without which a verb is a dry run, and the record that it then needs."""
    parser.add_argument("--execute", action="store_true", help="do it; without this, say what would be done")
    add_record(parser, required=False)
    parser.set_defaults(reason=None)


def _told(given: str) -> str:
    return " ".join(text(given).split())


def seconds(text: str) -> float:
    """Return a number of seconds from 0 on, for argparse."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return number


def text(given: str) -> str:
    """Return what was given, for argparse; the type of every argument that has no other."""
    if not given.strip():
        raise argparse.ArgumentTypeError("it is empty; leave the option out, or say what is meant")
    try:
        given.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{given!a} is not UTF-8") from None
    return given


class Once(argparse.Action):
    """Keep one value; an option that is given again is refused, since one of the two would be lost without a word."""

    def __call__(self, *call: Any) -> None:
        """Set the value. Raises argparse.ArgumentError."""
        _, namespace, values, *_ = call
        seen: set[str] = getattr(namespace, "seen", set())
        if self.dest in seen:
            raise argparse.ArgumentError(self, "it is given twice; say once what is meant")
        namespace.seen = {*seen, self.dest}
        setattr(namespace, self.dest, values)


def no_arguments(_: argparse.ArgumentParser) -> None:
    """Take only what every verb takes."""


def count(text: str) -> int:
    """Return a whole number above 0, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    if number > LARGEST_COUNT:
        raise argparse.ArgumentTypeError(f"{text} is above {LARGEST_COUNT}")
    return number


def partition(given: str) -> int:
    """Return a partition's number, for argparse."""
    return _number(given, 2**31 - 1)


def offset(given: str) -> int:
    """Return a record's offset, for argparse."""
    return _number(given, 2**63 - 1)


def _number(given: str, largest: int) -> int:
    if not given.isdecimal() or len(given) > LARGEST_DIGITS or int(given) > largest:
        raise argparse.ArgumentTypeError(f"{given!r} is no number from 0 to {largest}")
    return int(given)
