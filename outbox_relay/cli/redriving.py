"""The verb `redrive`: arguments, and what is printed."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final
from uuid import UUID

from outbox_relay.cli import screen
from outbox_relay.cli.verb import MISMATCH, Given, Verb, add_record, code_of, named, seconds
from outbox_relay.operations import service_programs, status
from outbox_relay.operations.dead_letters import dead_letters, redrive
from outbox_relay.operations.topology import UNBOUNDED, Topology, ask
from waybill.runtime.reports import MessageRedriven

WAIT_SECONDS: Final = 30.0


def _redrive(given: Given, topology: Topology) -> int:
    choice = dead_letters.read_choice(given)
    begun, failures = ask(
        topology,
        named(given, topology),
        lambda name, open_: redrive.begin(name, open_, choice, given.by, given.reason),
        UNBOUNDED,
    )
    handled: list[redrive.Outcome] = []
    for service, one in begun.items():
        if one.messages:
            outcomes, trouble = _handle(topology, service, one.messages)
            handled += outcomes
            if trouble:
                failures[service] = trouble
    released = {service: one.publications for service, one in begun.items() if one.publications}
    with screen.progress("publications") as progress:
        sent, unknown = redrive.wait(topology, released, given.wait, progress)
    failures |= unknown
    stays = [outcome for one in begun.values() for outcome in one.stays]
    found = [*(one for ones in sent.values() for one in ones), *handled, *stays]
    (screen.put_json if given.json else screen.put_table)([asdict(one) for one in found])
    if begun.keys() - failures.keys():
        _tell_outcome(topology, found, choice)
    code = code_of(dict.fromkeys(begun.keys() - failures.keys()), failures)
    nothing = not found and choice.filters and not code
    return MISMATCH if nothing or any(one.trouble for one in found) else code


def _handle(topology: Topology, service: str, messages: Sequence[UUID]) -> tuple[list[redrive.Outcome], str | None]:
    found: list[redrive.Outcome] = []
    with screen.progress(f"messages of {service}") as progress:

        def took(message: MessageRedriven) -> None:
            found.append(redrive.Outcome(service, "message", **asdict(message)))
            progress(len(found), len(messages))

        return found, service_programs.redrive(topology, service, messages, took)


def _tell_outcome(topology: Topology, found: Sequence[redrive.Outcome], choice: dead_letters.Choice) -> None:
    stays = sum(one.trouble == redrive.OVERTAKES for one in found)
    publications = [one for one in found if one.kind == "publication" and one.trouble != redrive.OVERTAKES]
    messages = [one for one in found if one.kind == "message" and one.trouble != redrive.OVERTAKES]
    if not found:
        screen.tell(dead_letters.tell_none(choice))
    if publications:
        sent, unsent = sum(not one.trouble for one in publications), sum(one.waits for one in publications)
        parked = len(publications) - sent - unsent
        screen.tell(f"{sent} publications sent, {parked} parked again, {unsent} not sent yet")
        waiting = sorted({one.service for one in publications if one.waits})
        for state in ask(topology, waiting, status.read_status)[0].values():
            screen.tell(f"{state.service}: {redrive.why_waiting(state)}")
    if messages:
        handled = sum(not one.trouble for one in messages)
        screen.tell(f"{handled} messages handled, {len(messages) - handled} stay parked")
    if stays:
        screen.tell(f"{stays} would overtake an earlier dead letter of their key and stay; choose the key: --key KEY")


def _redrive_arguments(parser: argparse.ArgumentParser) -> None:
    dead_letters.add_choice(parser)
    parser.add_argument(
        "--wait",
        type=seconds,
        default=WAIT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for the relay (default {WAIT_SECONDS:.0f})",
    )
    add_record(parser, required=True)


REDRIVE: Final = Verb(
    _redrive,
    "Release dead letters in sequence: publications through the relay that leads, messages through the service. What "
    "waits behind a chosen one goes with it. None overtakes an earlier dead letter of its key: one that was chosen, by "
    "reason or type, while an earlier one was not, stays. What fails again stays too, with those behind it.",
    "outbox redrive --service order --type OrderPlaced --reason 'the limit of the topic was raised'",
    _redrive_arguments,
)
