"""The verbs that change something; each leaves a row in `operator_action`: who, when, why, what."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from outbox_relay import growing, history, pause, redrive, replaying, screen, service_programs, status
from outbox_relay.places import Places, UsageError, ask
from outbox_relay.verb import MISMATCH, Given, Verb, add_record, code_of, seconds

WAIT_SECONDS: Final = 30.0


def _pause(given: Given, places: Places) -> int:
    services = _named(given, places)
    answers, failures = ask(places, services, lambda name, open_: pause.begin(name, open_, given.by, given.reason))
    _put(given, [asdict(stands) | {"made": made} for stands, made in answers.values()])
    refused = [stands for stands, made in answers.values() if not made]
    for stands in refused:
        screen.tell(f"{stands.service}: paused already {stands}; nothing is changed")
    return MISMATCH if refused else code_of(answers, failures)


def _resume(given: Given, places: Places) -> int:
    services = _named(given, places)
    answers, failures = ask(places, services, lambda name, open_: pause.end(name, open_, given.by, given.reason))
    _put(given, [asdict(ended) for ended in answers.values() if ended is not None])
    for service, ended in answers.items():
        if ended is None:
            screen.tell(f"{service}: was not paused; nothing is changed")
    return code_of(answers, failures)


def _named(given: Given, places: Places) -> list[str]:
    """Return the services that were named: nobody stops all of them by leaving a word out."""
    if not given.service:
        raise UsageError(f"say which service: --service {' --service '.join(places.databases)}")
    return places.chosen(given.service)


def _redrive(given: Given, places: Places) -> int:
    choice = _choice(given)
    services = places.chosen(given.service)
    begun, failures = ask(places, services, lambda _, open_: redrive.begin(open_, choice, given.by, given.reason))
    handled: list[redrive.Outcome] = []
    for service, one in begun.items():
        if one.messages:
            outcomes, trouble = _handle(places, service, one.messages)
            handled += outcomes
            if trouble:
                failures[service] = trouble
    released = {service: one.publications for service, one in begun.items() if one.publications}
    with screen.progress("publications") as progress:
        sent, unknown = redrive.wait(places, released, given.wait, progress)
    failures |= unknown
    found = [*(one for ones in sent.values() for one in ones), *handled]
    _put(given, [asdict(one) for one in found])
    if begun.keys() - failures.keys():
        _tell_outcome(places, found)
    code = code_of(dict.fromkeys(begun.keys() - failures.keys()), failures)
    return MISMATCH if any(one.trouble for one in found) else code


def _choice(given: Given) -> redrive.Choice:
    kind, key = history.aggregate(given.aggregate) if given.aggregate else (None, None)
    filtered = given.aggregate or given.topic
    if given.messages and filtered:
        raise UsageError("--aggregate and --topic choose among publications; leave them out, or --messages")
    return redrive.Choice(not given.messages, not given.publications and not filtered, kind, key, given.topic)


def _handle(places: Places, service: str, total: int) -> tuple[list[redrive.Outcome], str | None]:
    found: list[redrive.Outcome] = []
    with screen.progress(f"messages of {service}") as progress:

        def took(line: Mapping[str, Any]) -> None:
            found.append(redrive.Outcome(service, "message", **line))
            progress(len(found), total)

        return found, service_programs.redrive(places, service, took)


def _tell_outcome(places: Places, found: Sequence[redrive.Outcome]) -> None:
    publications = [one for one in found if one.kind == "publication"]
    messages = [one for one in found if one.kind == "message"]
    if not found:
        screen.tell("nothing of the kind is parked")
    if publications:
        sent, unsent = sum(not one.trouble for one in publications), sum(one.waits for one in publications)
        parked = len(publications) - sent - unsent
        screen.tell(f"{sent} publications sent, {parked} parked again, {unsent} not sent yet")
        waiting = sorted({one.service for one in publications if one.waits})
        for state in ask(places, waiting, status.read_status)[0].values():
            screen.tell(f"{state.service}: {redrive.why_waiting(state)}")
    if messages:
        handled = sum(not one.trouble for one in messages)
        screen.tell(f"{handled} messages handled, {len(messages) - handled} stay parked")


def _put(given: Given, lines: Sequence[Mapping[str, Any]]) -> None:
    (screen.put_json if given.json else screen.put_table)(lines)


def _pause_arguments(parser: argparse.ArgumentParser) -> None:
    add_record(parser, required=True)


def _resume_arguments(parser: argparse.ArgumentParser) -> None:
    add_record(parser, required=False)


def _redrive_arguments(parser: argparse.ArgumentParser) -> None:
    sides = parser.add_mutually_exclusive_group()
    sides.add_argument("--publications", action="store_true", help="only what the broker refused")
    sides.add_argument("--messages", action="store_true", help="only what the service could not handle")
    parser.add_argument("--aggregate", metavar="ID", help="publications of ID or TYPE/ID, and no messages")
    parser.add_argument("--topic", help="publications of aggregates with one parked for this topic, and no messages")
    parser.add_argument(
        "--wait",
        type=seconds,
        default=WAIT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for the relay (default {WAIT_SECONDS:.0f})",
    )
    add_record(parser, required=False)


VERBS: Final[Mapping[str, Verb]] = {
    "redrive": Verb(
        _redrive,
        "Release what is parked, in sequence: publications through the relay that leads, messages through the service. "
        "What fails again stays parked, and those behind it.",
        "outbox redrive --service order --publications --reason 'the limit of the topic was raised'",
        _redrive_arguments,
    ),
    "replay": replaying.REPLAY,
    "pause": Verb(
        _pause,
        "Let a service's relay publish nothing until it is resumed; what is in flight arrives, what waits is kept.",
        "outbox pause --service order --reason 'the broker moves to new machines'",
        _pause_arguments,
    ),
    "resume": Verb(
        _resume,
        "Let a paused relay go on.",
        "outbox resume --service order --reason 'the broker has moved'",
        _resume_arguments,
    ),
    "grow": growing.GROW,
}
