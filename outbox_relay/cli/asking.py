"""The verbs that only ask: what waits, what happened, what is parked, and whether all of it fits together."""

import argparse
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from outbox_relay.cli import proving, replaying, screen
from outbox_relay.cli.verb import (
    DONE,
    MISMATCH,
    Given,
    Verb,
    add_filters,
    code_of,
    count,
    no_arguments,
    read_filter,
    seconds,
)
from outbox_relay.operations import attention, status
from outbox_relay.operations.dead_letters import dead_letters
from outbox_relay.operations.events import listing, tail
from outbox_relay.operations.topics import missing
from outbox_relay.operations.topology import Topology, ask

REASON_WIDTH: Final = 48  # the whole of it goes to stderr; a line of the table fits 120 columns
TAIL_WIDTHS: Final = {
    "service": 12,
    "position": 8,
    "recorded_at": 27,
    "aggregate": 46,
    "version": 7,
    "type": 24,
    "event_id": 36,
}


def _status(given: Given, topology: Topology) -> int:
    answers, failures = ask(topology, topology.chosen(given.service), status.read_status)
    if given.json:
        screen.put_json(one.shown() for one in answers.values())
    else:
        screen.put_table([_status_line(one) for one in answers.values()])
        screen.put_table([_program_line(name, one) for name, found in answers.items() for one in found.programs])
    late = [one for one in answers.values() if (one.oldest_seconds or 0) > given.threshold]
    for one in late:
        screen.tell(f"{one.service}: the oldest unpublished event has waited {one.oldest_seconds} s")
    faults = [f"{one.service}: {fault}" for one in answers.values() for fault in one.faults]
    for fault in faults:
        screen.tell(fault)
    code = code_of(answers, failures)
    return MISMATCH if late or faults else code


def _status_line(one: status.Status) -> dict[str, Any]:
    return {
        "service": one.service,
        "unpublished": one.unpublished,
        "oldest": None if one.oldest_seconds is None else f"{one.oldest_seconds} s",
        "rate": f"{one.events_a_second}/s",
        "cursor": f"{one.position} of {one.last}",
        "gaps": ",".join(str(a) if a == b else f"{a}..{b}" for a, b in one.gaps) or None,
        "parked": f"{one.parked_publications} + {one.parked_messages}",
        "missing": missing.total(one.missing_records),
        "jobs": one.jobs,
        "attention": one.attention,
        "paused": one.paused,
    }


def _program_line(service: str, one: status.ProgramState) -> dict[str, Any]:
    return {
        "service": service,
        "program": one.program,
        "instance": one.instance,
        "state": "silent" if one.silent else one.state,
        "for": f"{one.heartbeat_seconds if one.silent else one.state_seconds:.0f} s",
        "reason": textwrap.shorten(one.reason, REASON_WIDTH, placeholder="…") if one.reason else None,
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


def _event_line(event: listing.Event) -> dict[str, Any]:
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
    followed = [
        tail.Following(service, topology.databases[service], wanted) for service in topology.chosen(given.service)
    ]
    if not given.json:
        screen.put_row(TAIL_WIDTHS)
    for events in tail.follow(followed):
        for event in events:
            if given.json:
                screen.put_json([event.shown()])
            else:
                screen.put_row(TAIL_WIDTHS, _event_line(event))
    return DONE  # never: it ends with Ctrl-C


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


def _parked(given: Given, topology: Topology) -> int:
    choice = dead_letters.read_choice(given)
    answers, failures = ask(
        topology, topology.chosen(given.service), lambda name, open_: dead_letters.read(name, open_, choice)
    )
    found = [one for parked in answers.values() for one in parked if one.matches]
    if given.json:
        screen.put_json(one.shown() for one in found)
    else:
        screen.put_table([one.told() for one in found])
    return code_of(answers, failures)


def _attention(given: Given, topology: Topology) -> int:
    answers, failures = ask(topology, topology.chosen(given.service), attention.read_attention)
    found = [asdict(one) for marked in answers.values() for one in marked]
    (screen.put_json if given.json else screen.put_table)(found)
    return code_of(answers, failures)


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    add_filters(parser)
    parser.add_argument("--event", metavar="ID", help="the event with this id")
    parser.add_argument("--limit", type=count, default=50, help="events a service, the newest (default 50)")


def _tail_arguments(parser: argparse.ArgumentParser) -> None:
    add_filters(parser)
    parser.set_defaults(event=None)


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threshold",
        type=seconds,
        default=float("inf"),
        metavar="SECONDS",
        help="exit 1 where an event has waited longer, too",
    )


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("event_id", help="the event's id")
    parser.set_defaults(aggregate=None, type=[], positions=None, since=None, until=None)


VERBS: Final[Mapping[str, Verb]] = {
    "status": Verb(
        _status,
        "Show what waits, how fast events come, what is parked or needs attention, who paused it, and how programs do.",
        "outbox status --threshold 60",
        _status_arguments,
    ),
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
    "parked": Verb(
        _parked,
        "List dead letters: publications that the broker refused and messages that a service could not handle, with "
        "all that redrive and discard choose by.",
        "outbox parked --service inventory --type OrderPlaced --reason-contains 'not a UUID'",
        dead_letters.add_choice,
    ),
    "attention": Verb(
        _attention,
        "List what is due and needs an operator: since when, the reason and the way out. It is attempted on by itself.",
        "outbox attention --service payment",
        no_arguments,
    ),
    "verify": proving.VERIFY,
    "rebuild": proving.REBUILD,
    "jobs": replaying.JOBS,
}
