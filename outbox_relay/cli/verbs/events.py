"""`outbox list`, `tail` and `show`: events as they stand in the outboxes."""

import argparse
from collections.abc import Mapping
from typing import Any, Final

from outbox_relay.cli import screen
from outbox_relay.cli.verb import DONE, MISMATCH, Given, Verb, add_filters, code_of, count, read_filter
from outbox_relay.operations.events import listing, tail
from outbox_relay.operations.topology import DependencyDown, Topology, ask

TAIL_WIDTHS: Final = {
    "service": 12,
    "position": 8,
    "recorded_at": 27,
    "aggregate": 46,
    "version": 7,
    "type": 24,
    "event_id": 36,
}


def _list(given: Given, topology: Topology) -> int:
    wanted = read_filter(given)
    answers, failures = ask(
        topology, topology.chosen(given.service), lambda name, open_: listing.newest(name, open_, wanted, given.limit)
    )
    found = [event for events in answers.values() for event in events]
    if given.json:
        screen.put_json(event.shown() for event in found)
    else:
        screen.put_table([_event_line(event) for event in found])
    for name, events in answers.items():
        if len(events) == given.limit:
            screen.tell(f"{name}: the newest {given.limit}; --limit and the filters show others")
    return code_of(answers, failures)


def _event_line(event: listing.ListedEvent) -> dict[str, Any]:
    return {
        "service": event.service,
        "position": event.position,
        "recorded_at": event.recorded_at,
        "aggregate": f"{event.aggregate_type}/{event.aggregate_id}",
        "version": event.aggregate_version,
        "type": event.event_type.rpartition(".")[2],
        "event_id": event.event_id,
    }


def _tail(given: Given, topology: Topology) -> int:
    wanted = read_filter(given)
    services = topology.chosen(given.service)
    followed = [tail.Following(service, topology.databases[service], wanted) for service in services]
    if not given.json:
        screen.put_row(TAIL_WIDTHS)
    for number, found in enumerate(tail.follow(followed)):
        if number == 0:
            _refuse_silence(services, found.away)
        for service, failure in found.away.items():
            screen.tell(f"database {service}: {failure}; trying again")
        for service in found.back:
            screen.tell(f"database {service}: is back")
        if number == 0:
            screen.tell(f"following {', '.join(one for one in services if one not in found.away)}; Ctrl-C ends it")
        for event in found.events:
            if given.json:
                screen.put_json([event.shown()])
            else:
                screen.put_row(TAIL_WIDTHS, _event_line(event))
    return DONE  # never: it ends with Ctrl-C


def _refuse_silence(services: list[str], away: Mapping[str, str]) -> None:
    if len(away) == len(services):
        raise DependencyDown("; ".join(f"database {service}: {failure}" for service, failure in away.items()))


def _show(given: Given, topology: Topology) -> int:
    given.event = given.event_id
    wanted = read_filter(given)
    answers, failures = ask(
        topology,
        topology.chosen(given.service),
        lambda name, open_: [
            event.shown() | {"standing": listing.standing(open_, event)}
            for event in listing.newest(name, open_, wanted, 1)
        ],
    )
    found = [event for events in answers.values() for event in events]
    if given.json:
        screen.put_json(found)
    else:
        for one in found:
            screen.put_record(f"{one['service']} {one['position']}", one)
    if not found and not failures:
        screen.tell(f"no event {given.event_id} in {', '.join(answers)}")
        return MISMATCH
    return code_of(answers, failures)


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    add_filters(parser)
    parser.add_argument("--event", metavar="ID", help="the event with this id")
    parser.add_argument("--limit", type=count, default=50, help="events a service, the newest (default 50)")


def _tail_arguments(parser: argparse.ArgumentParser) -> None:
    add_filters(parser)
    parser.set_defaults(event=None)


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("event_id", help="the event's id")
    parser.set_defaults(aggregate=None, type=[], positions=None, since=None, until=None)


VERBS: Final = {
    "list": Verb(
        _list,
        "List events; filters combine.",
        "outbox list --service order --type OrderPlaced --since 15m",
        _list_arguments,
    ),
    "tail": Verb(
        _tail,
        "Show events as they are committed, from now on or from --since, until Ctrl-C; filters combine.",
        "outbox tail --service order --type OrderPlaced --since 5m --json",
        _tail_arguments,
    ),
    "show": Verb(
        _show,
        "Show one event with its payload decoded, its causes, and whether it is published.",
        "outbox show 0198c0de-7000-7000-8000-000000000001",
        _show_arguments,
    ),
}
