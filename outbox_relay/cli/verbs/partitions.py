"""`outbox partitions`: the log as ranges that are made ahead and dropped behind."""

import argparse
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from outbox_relay.cli import screen
from outbox_relay.cli.verb import (
    DONE,
    Given,
    Verb,
    add_execution,
    code_of,
    count,
    named_one,
    refuse_silent_execution,
)
from outbox_relay.operations import owner as owners
from outbox_relay.operations.partitions import adopting, dropping, ensuring, holds, layout
from outbox_relay.operations.partitions.dropping import Candidate
from outbox_relay.operations.partitions.layout import OPEN, Horizon, Range
from outbox_relay.operations.topology import UNBOUNDED, DependencyDown, Topology, UsageError, ask

ONE: Final = "each service's log is divided by itself"
WHY: Final = "only the owner of the log may change how it is laid out"
AHEAD: Final = 2


def _partitions(given: Given, topology: Topology) -> int:
    return ACTIONS[given.action](given, topology)


def _status(given: Given, topology: Topology) -> int:
    def look(service: str, connection: psycopg.Connection) -> list[dict[str, Any]]:
        found = layout.ranges(connection)
        gone = layout.horizon(connection)
        if gone.last:
            screen.tell(f"{service}: {said_of(gone)}")
        if not found:
            screen.tell(f"{service}: the log is in one piece; outbox partitions adopt divides it")
        return [_line(service, one, _held(connection, one, given)) for one in found]

    answers, failures = ask(topology, topology.chosen(given.service), look, UNBOUNDED)
    screen.put(given, [line for lines in answers.values() for line in lines])
    return code_of(answers, failures)


def said_of(gone: Horizon) -> str:
    """Say up to where events are archived."""
    until = f" (until {gone.newest:%Y-%m-%dT%H:%M:%SZ})" if gone.newest else ""
    return f"events up to position {gone.last}{until} are archived"


def _held(connection: psycopg.Connection, one: Range, given: Given) -> holds.Held:
    if one.name == OPEN:
        return holds.Held(None, None, ("outbox partitions ensure makes it a range",) if one.events else ())
    return holds.look(connection, one, given.older_than)


def _line(service: str, one: Range, held: holds.Held) -> dict[str, Any]:
    return {
        "service": service,
        "range": one.name,
        "first": one.first or 1,
        "last": one.after and one.last,
        "events": one.events,
        "mb": round(one.size_bytes / 1_000_000, 1),
        "oldest": held.oldest,
        "newest": held.newest,
        "held": "; ".join(held.reasons) or None,
    }


def _adopt(given: Given, topology: Topology) -> int:
    refuse_silent_execution(given)
    service = named_one(given, topology, ONE)
    if not given.execute:
        answers, failures = ask(
            topology, [service], lambda _, one: (layout.is_partitioned(one), layout.handed_out(one))
        )
        for partitioned, last in answers.values():
            if partitioned:
                raise UsageError("the log is partitioned already")
            screen.tell(
                f"dry run: the table becomes the range up to about position {last + (given.events or layout.EVENTS)}"
            )
        return code_of(answers, failures)
    with owners.owning(topology, service, owners.url(WHY)) as owner:
        events = given.events or layout.EVENTS
        after = adopting.adopt(owner, events, given.by, given.reason)
    screen.put(given, [{"service": service, "first_range_until": after - 1, "events": events}])
    screen.tell("let it run daily from now on: outbox partitions ensure")
    return DONE


def _ensure(given: Given, topology: Topology) -> int:
    service = named_one(given, topology, ONE)
    with owners.owning(topology, service, owners.url(WHY)) as owner:
        made = ensuring.ensure(owner, given.ahead, given.events, given.by)
    screen.put(given, [{"service": service, "made": first} for first in made])
    return DONE


def _drop(given: Given, topology: Topology) -> int:
    refuse_silent_execution(given)
    service = named_one(given, topology, ONE)
    if given.older_than is None:
        raise UsageError("say what is old: --older-than 400d; nothing younger is dropped")
    if not given.execute:
        answers, failures = ask(
            topology, [service], lambda _, one: dropping.candidates(one, given.older_than), UNBOUNDED
        )
        for found in answers.values():
            screen.put(given, [_line(service, *one) for one in found])
            free = sum(not one.held.reasons for one in found)
            screen.tell(f"dry run: {free} ranges; --archive DIR --execute --reason '…' archives and drops them")
        return code_of(answers, failures)
    if given.archive is None or not given.archive.is_dir():
        raise UsageError(f"--archive {given.archive or 'DIR'}: a folder that is there; each range becomes a file in it")
    with owners.owning(topology, service, owners.url(WHY)) as owner:
        for name in dropping.finish(owner):
            screen.tell(f"{name}: dropped, as an earlier run had archived it")
        for one in dropping.candidates(owner, given.older_than):
            if one.held.reasons:
                screen.tell(f"{one.range.name} stays: {'; '.join(one.held.reasons)}")
                break
            _drop_one(given, owner, service, one)
    return DONE


def _drop_one(given: Given, owner: psycopg.Connection, service: str, one: Candidate) -> None:
    try:
        dropping.drop(
            owner,
            service,
            one,
            given.older_than,
            given.archive,
            (given.by, given.reason),
            lambda archive: screen.tell(f"{one.range.name}: {archive.events} events in {archive.path}"),
        )
    except OSError as error:
        raise DependencyDown(f"the archive: {error}") from None
    screen.put(given, [_line(service, *one)])


ACTIONS: Final[Mapping[str, Callable[[Given, Topology], int]]] = {
    "status": _status,
    "adopt": _adopt,
    "ensure": _ensure,
    "drop": _drop,
}


def _days(text: str) -> timedelta:
    days = text.removesuffix("d")
    if not (days.isascii() and days.isdecimal()) or len(days) > len("99999"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days; write 400d")
    return timedelta(days=int(days))


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("--older-than", type=_days, metavar="DAYS", help="as in 400d: what may be dropped is older")
    parser.add_argument("--archive", type=Path, metavar="DIR", help="the folder that gets a file a range")
    parser.add_argument(
        "--events",
        type=count,
        default=None,
        help=f"positions of a range (adopt: {layout.EVENTS})",
    )
    parser.add_argument(
        "--ahead",
        type=count,
        default=AHEAD,
        metavar="N",
        help=f"empty ranges ahead (default {AHEAD})",
    )
    add_execution(parser)


VERBS: Final = {
    "partitions": Verb(
        _partitions,
        "Divide a log into ranges of positions (adopt), make empty ones ahead (ensure), tell what holds each (status), "
        "archive and drop the oldest that nothing holds (drop). adopt and drop without --execute say what they "
        f"would do. The database's owner does it, by the URL in {owners.OWNER}.",
        "outbox partitions drop --service order --older-than 400d --archive /archive --execute --reason 'a year is "
        "enough'",
        _arguments,
    )
}
