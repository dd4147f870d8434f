"""`outbox dead-letters`, `redrive` and `discard`: dead letters of both sides, chosen by the same options."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from outbox_relay.cli import redriving, screen
from outbox_relay.cli.verb import (
    DONE,
    MISMATCH,
    Given,
    Verb,
    add_execution,
    add_record,
    code_of,
    count,
    named,
    offset,
    partition,
    refuse_silent_execution,
    seconds,
)
from outbox_relay.operations import status
from outbox_relay.operations.dead_letters import dead_letters, discard, groups, redrive
from outbox_relay.operations.dead_letters.dead_letters import Choice, DeadLetter
from outbox_relay.operations.dead_letters.groups import Group
from outbox_relay.operations.dead_letters.redrive import RedriveOutcome
from outbox_relay.operations.topology import UNBOUNDED, Topology, UsageError, ask
from waybill.runtime.reports import MessageRedriven

WAIT_SECONDS: Final = 30.0  # for a relay that leads: some heartbeats, and a batch in flight before
REASON_CHARACTERS: Final = 120  # on a person's line; --json has all of it


def _dead_letters(given: Given, topology: Topology) -> int:
    choice = read_choice(given)
    if given.groups:
        return _groups(given, topology, choice)
    answers, failures = ask(
        topology, topology.chosen(given.service), lambda name, open_: dead_letters.read(name, open_, choice)
    )
    found = [one for letters in answers.values() for one in letters if one.matches]
    if given.json:
        screen.put_json(one.shown() for one in found)
    else:
        screen.put_table([_line(one) for one in found])
    return code_of(answers, failures)


def _groups(given: Given, topology: Topology, choice: Choice) -> int:
    if choice.filters:
        raise UsageError(f"--groups counts all of a service; leave out what chooses: {', '.join(choice.filters)}")
    answers, failures = ask(topology, topology.chosen(given.service), groups.read)
    found = [one for several in answers.values() for one in several if one.kind in choice.kinds]
    if given.json:
        screen.put_json(one.shown() for one in found)
    else:
        screen.put_table([_group_line(one) for one in found])
    return code_of(answers, failures)


def _group_line(group: Group) -> dict[str, Any]:
    """Return a group's line; class and type are what --reason-class and --type take."""
    return asdict(group) | {"event_type": group.event_type and group.event_type.rpartition(".")[2]}


def _line(letter: DeadLetter) -> dict[str, Any]:
    """Return what a person needs to choose, and fits on a line."""
    reason = letter.reason if len(letter.reason) <= REASON_CHARACTERS else f"{letter.reason[:REASON_CHARACTERS]}…"
    return {
        "service": letter.service,
        "kind": letter.kind,
        "key": letter.key,
        "type": letter.event_type and letter.event_type.rpartition(".")[2],
        "place": letter.place,
        "event_id": letter.event_id,
        "age": f"{letter.age_seconds:.0f} s",
        "reason": reason,
    }


def _redrive(given: Given, topology: Topology) -> int:
    choice = read_choice(given)
    if given.resume or given.abandon:
        if choice.filters:
            raise UsageError(f"a job's dead letters are chosen already; leave out {', '.join(choice.filters)}")
        return (redriving.resume if given.resume else redriving.abandon)(given, topology)
    if given.rate:
        return redriving.start(given, topology, named(given, topology), choice)
    begun, failures = ask(
        topology,
        named(given, topology),
        lambda name, open_: redrive.begin(name, open_, choice, given.by, given.reason),
        UNBOUNDED,
    )
    handled: list[RedriveOutcome] = []
    for service, one in begun.items():
        if one.messages:
            outcomes, failure = _handle(topology, service, one.messages)
            handled += outcomes
            if failure:
                failures[service] = failure
    released = {service: one.publications for service, one in begun.items() if one.publications}
    with screen.progress("publications") as progress:
        sent, unknown = redrive.wait(topology, released, given.wait, progress)
    failures |= unknown
    stays = [outcome for one in begun.values() for outcome in one.stays]
    found = [*(one for ones in sent.values() for one in ones), *handled, *stays]
    screen.put(given, [asdict(one) for one in found])
    if begun.keys() - failures.keys():
        _tell_outcome(topology, found, choice)
    code = code_of(dict.fromkeys(begun.keys() - failures.keys()), failures)
    nothing = not found and choice.filters and not code
    return MISMATCH if nothing or any(one.failure for one in found) else code


def _handle(topology: Topology, service: str, messages: Sequence[UUID]) -> tuple[list[RedriveOutcome], str | None]:
    found: list[RedriveOutcome] = []
    with screen.progress(f"messages of {service}") as progress:

        def took(message: MessageRedriven) -> None:
            found.append(RedriveOutcome(service, "message", **asdict(message)))
            progress(len(found), len(messages))

        return found, redrive.handle_messages(topology, service, messages, took)


def _tell_outcome(topology: Topology, found: Sequence[RedriveOutcome], choice: Choice) -> None:
    stays = sum(one.failure == redrive.OVERTAKES for one in found)
    publications = [one for one in found if one.kind == "publication" and one.failure != redrive.OVERTAKES]
    messages = [one for one in found if one.kind == "message" and one.failure != redrive.OVERTAKES]
    if not found:
        screen.tell(_tell_none(choice))
    if publications:
        sent, unsent = sum(not one.failure for one in publications), sum(one.waits for one in publications)
        failed = len(publications) - sent - unsent
        screen.tell(f"{sent} publications sent, {failed} failed again, {unsent} not sent yet")
        waiting = sorted({one.service for one in publications if one.waits})
        for state in ask(topology, waiting, status.read_status)[0].values():
            screen.tell(f"{state.service}: {redrive.why_waiting(state)}")
    if messages:
        handled = sum(not one.failure for one in messages)
        screen.tell(f"{handled} messages handled, {len(messages) - handled} stay dead letters")
    if stays:
        screen.tell(f"{stays} would overtake an earlier dead letter of their key and stay; choose the key: --key KEY")


def _redrive_arguments(parser: argparse.ArgumentParser) -> None:
    add_choice(parser)
    parser.add_argument(
        "--wait",
        type=seconds,
        default=WAIT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for the relay (default {WAIT_SECONDS:.0f})",
    )
    parser.add_argument(
        "--rate", type=count, metavar="N", help="as a job, N a second at most, that can be stopped and resumed"
    )
    ended = parser.add_mutually_exclusive_group()
    ended.add_argument("--resume", metavar="JOB", help="resume a job that was stopped; outbox jobs lists them")
    ended.add_argument("--abandon", metavar="JOB", help="give such a job up; what was handled stays handled")
    add_record(parser, required=True)


def _dead_letters_arguments(parser: argparse.ArgumentParser) -> None:
    add_choice(parser)
    parser.add_argument("--groups", action="store_true", help="count them by kind, reason class and event type")


def _discard(given: Given, topology: Topology) -> int:
    services = named(given, topology)
    choice = read_choice(given)
    if not choice.filters and not given.all:
        raise UsageError(
            "choose what to discard: --key, --event, --type, --reason-contains, --reason-class, --topic; or --all"
        )
    refuse_silent_execution(given)
    answers, failures = ask(
        topology,
        services,
        lambda name, open_: (
            discard.discard(name, open_, choice, given.by, given.reason)
            if given.execute
            else discard.matching(name, open_, choice)
        ),
        UNBOUNDED,
    )
    found = [letter for letters in answers.values() for letter in letters]
    if given.json:
        screen.put_json(letter.shown() for letter in found)
    else:
        screen.put_table([_line(letter) for letter in found])
    if answers:
        _tell_discarded(given, choice, found)
    return code_of(answers, failures) or (DONE if found else MISMATCH)


def _tell_discarded(given: Given, choice: Choice, found: list[DeadLetter]) -> None:
    if not found:
        screen.tell(_tell_none(choice))
        return
    publications = sum(one.kind == "publication" for one in found)
    counts = f"{publications} publications and {len(found) - publications} messages"
    if given.execute:
        screen.tell(f"{counts} discarded; what waits behind them stays: outbox redrive or discard --key KEY")
    else:
        screen.tell(f"dry run: {counts}; --execute --reason '…' discards them for good")


def _discard_arguments(parser: argparse.ArgumentParser) -> None:
    add_choice(parser)
    parser.add_argument("--all", action="store_true", help="every dead letter of the service")
    add_execution(parser)


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Take the options that choose dead letters; all that are given must hold."""
    sides = parser.add_mutually_exclusive_group()
    sides.add_argument("--publications", action="store_true", help="only what the broker refused")
    sides.add_argument("--messages", action="store_true", help="only what the service could not handle")
    again = "may be given again"
    parser.add_argument("--key", action="append", default=[], help=f"of this key, an aggregate's id; {again}")
    parser.add_argument("--event", action="append", default=[], metavar="ID", help=f"this event; {again}")
    parser.add_argument("--type", action="append", default=[], help=f"OrderPlaced or its full name; {again}")
    parser.add_argument(
        "--reason-contains",
        action="append",
        default=[],
        metavar="TEXT",
        help=f"whose reason has this text in it; {again}",
    )
    parser.add_argument(
        "--reason-class",
        action="append",
        default=[],
        metavar="NAME",
        help=f"of this reason class, as --groups names it; {again}",
    )
    parser.add_argument("--topic", help="of this topic")
    parser.add_argument("--partition", type=partition, metavar="N", help="of this partition; needs --topic")
    parser.add_argument("--offset", type=offset, metavar="N", help="at this offset; needs --topic and --partition")


def read_choice(given: argparse.Namespace) -> Choice:
    """Return what the options of `add_choice` say; raises UsageError."""
    if given.partition is not None and given.topic is None:
        raise UsageError("--partition needs --topic")
    if given.offset is not None and given.partition is None:
        raise UsageError("--offset needs --topic and --partition")
    if given.publications and given.partition is not None:
        raise UsageError("--partition chooses among messages; a publication has not reached its topic")
    kinds = ("publication",) if given.publications else ("message",) if given.messages else Choice().kinds
    return Choice(
        kinds,
        given.topic,
        given.partition,
        given.offset,
        *(tuple(values) for values in (given.key, given.event, given.type, given.reason_contains)),
        classes=tuple(given.reason_class),
    )


def _tell_none(choice: Choice) -> str:
    """Return what to say where nothing is meant."""
    return "no dead letter matches; outbox dead-letters lists them" if choice.filters else "there are no dead letters"


VERBS: Final = {
    "dead-letters": Verb(
        _dead_letters,
        "List dead letters: publications that the broker refused and messages that a service could not handle, with "
        "all that redrive and discard choose by. --groups counts them by what failed.",
        "outbox dead-letters --service inventory --type OrderPlaced --reason-contains 'not a UUID'",
        _dead_letters_arguments,
    ),
    "redrive": Verb(
        _redrive,
        "Release dead letters in sequence: publications through the relay that leads, messages through the service. "
        "What waits behind a chosen one goes with it. None overtakes an earlier dead letter of its key: one that was "
        "chosen, by reason or type, while an earlier one was not, stays. What fails again stays too, with those "
        "behind it. With --rate it is a job, which can be stopped and resumed.",
        "outbox redrive --service order --type OrderPlaced --reason 'the limit of the topic was raised'",
        _redrive_arguments,
    ),
    "discard": Verb(
        _discard,
        "Discard dead letters for good: without --execute, list what would go. A message counts as received, a "
        "publication never reaches its topic: subscribers see its key skip a version. What waits behind one stays: "
        "redrive or discard it in turn.",
        "outbox discard --service inventory --reason-contains 'not a UUID' --execute --reason 'a test wrote to the "
        "topic'",
        _discard_arguments,
    ),
}
