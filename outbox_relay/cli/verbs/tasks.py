"""`outbox tasks`, `settle`, `reschedule` and `cancel-task`: what is due, and what an operator may do with it."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from outbox_relay.cli import screen
from outbox_relay.cli.verb import (
    DONE,
    MISMATCH,
    Given,
    Verb,
    add_execution,
    code_of,
    count,
    named_one,
    refuse_silent_execution,
    text,
)
from outbox_relay.operations.events import listing
from outbox_relay.operations.service_programs import refuse_projects
from outbox_relay.operations.tasks import due, ending
from outbox_relay.operations.tasks.due import Choice, Due
from outbox_relay.operations.topology import Topology, UsageError, ask
from waybill.runtime.reports import (
    CancelTaskRequest,
    ProgramFailed,
    RescheduleRequest,
    SettlementRefused,
    SettleRequest,
    TaskRescheduled,
    TaskSettled,
)

DEFAULT_LIMIT: Final = 50
ERROR_CHARACTERS: Final = 80  # on a person's line; --json has all of it


def _tasks(given: Given, topology: Topology) -> int:
    services = topology.chosen(given.service)
    if given.after and len(services) != 1:
        raise UsageError("--after goes on with the rows of one service: give --service once")
    before = ahead(given.before) if given.before else None
    choice = Choice(given.task, given.key, given.failing, given.attention, before, given.after)
    choice.values()  # refuses what --after cannot be before any database is asked
    answers, failures = ask(topology, services, lambda name, open_: due.listed(name, open_, choice, given.limit))
    found = sorted((one for rows in answers.values() for one in rows), key=lambda one: (one.due_at, one.id))
    if given.json:
        screen.put_json(asdict(one) | {"after": one.after} for one in found)
    else:
        screen.put_table([_due_line(one) for one in found])
    for service, rows in answers.items():
        if len(rows) == given.limit:
            screen.tell(f"{service}: the first {given.limit}; more: --service {service} --after {rows[-1].after}")
    return code_of(answers, failures)


def _due_line(one: Due) -> dict[str, Any]:
    error = one.last_error or ""
    return {
        "service": one.service,
        "id": one.id,
        "task": one.task,
        "aggregate": one.aggregate,
        "due_at": one.due_at,
        "attempts": one.attempts,
        "attention since": one.attention_since,
        "last error": f"{error[:ERROR_CHARACTERS]}…" if len(error) > ERROR_CHARACTERS else error or None,
    }


def _tasks_arguments(parser: argparse.ArgumentParser) -> None:
    again = "may be given again"
    parser.add_argument("--task", action="append", default=[], metavar="NAME", help=f"of this task; {again}")
    parser.add_argument("--key", action="append", default=[], help=f"of this aggregate's id; {again}")
    parser.add_argument("--failing", action="store_true", help="that an attempt has failed")
    parser.add_argument("--attention", action="store_true", help="that need an operator")
    parser.add_argument("--before", metavar="TIME", help="due before: RFC 3339, or 15m for in 15 minutes (s, m, h, d)")
    parser.add_argument("--after", metavar="PLACE", help="go on behind a page's end, as it said")
    parser.add_argument(
        "--limit", type=count, default=DEFAULT_LIMIT, help=f"rows a service at most (default {DEFAULT_LIMIT})"
    )


def ahead(given: str) -> datetime:
    """Return an RFC 3339 time, or one that is this far ahead (`90s`, `15m`, `2h`, `3d`). Raises UsageError."""
    if re.fullmatch(r"\d{1,6}[smhd]", given):
        try:
            now = datetime.now(UTC)
            return now + (now - listing.moment(given))
        except OverflowError:
            raise UsageError(f"{given!r} is too far ahead") from None
    return listing.moment(given)


def _settle(given: Given, topology: Topology) -> int:
    service = _service(given, topology, "settle is for one key of one service")
    request = SettleRequest(given.key, given.paid_elsewhere, given.execute, given.by, given.reason)
    return _ended(given, service, ending.settle(topology, service, request), "is settled")


def _cancel(given: Given, topology: Topology) -> int:
    service = _service(given, topology, "cancel-task is for one row of one service")
    request = CancelTaskRequest(given.id, given.execute, given.by, given.reason)
    return _ended(given, service, ending.cancel(topology, service, request), "is cancelled")


def _reschedule(given: Given, topology: Topology) -> int:
    service = _service(given, topology, "reschedule is for one row of one service")
    at = ahead(given.at).isoformat() if given.at else None
    request = RescheduleRequest(given.id, at, given.execute, given.by, given.reason)
    match ending.reschedule(topology, service, request):
        case TaskRescheduled() as moved:
            fields = {"does": moved.does, "was due": moved.was, "due": moved.due_at}
            screen.put_json([asdict(moved)]) if given.json else screen.put_record(
                f"{moved.task} of {moved.aggregate}", fields
            )
            said = (
                "it is due then" if given.execute else "dry run: it would be due then; --execute --reason '…' does it"
            )
            screen.tell(said)
            return DONE
        case other:
            return _not_done(service, other)


def _service(given: Given, topology: Topology, why: str) -> str:
    service = named_one(given, topology, why)
    refuse_silent_execution(given)
    refuse_projects(topology, [service], "due tasks")
    return service


def _ended(given: Given, service: str, answer: TaskSettled | SettlementRefused | ProgramFailed, how: str) -> int:
    if not isinstance(answer, TaskSettled):
        return _not_done(service, answer)
    screen.put_json([asdict(answer)]) if given.json else _show(answer)
    recorded, task = ", ".join(event["type"] for event in answer.events), answer.task
    if given.execute:
        screen.tell(f"{recorded} recorded; {task} of {answer.aggregate} {how}")
    else:
        screen.tell(
            f"dry run: {recorded} would be recorded, and {task} is no longer due; --execute --reason '…' does it"
        )
    return DONE


def _not_done(service: str, answer: SettlementRefused | ProgramFailed) -> int:
    if isinstance(answer, ProgramFailed):
        return code_of({}, {service: answer.reason})
    screen.tell(f"{answer.reason}; nothing is changed")
    return MISMATCH


def _show(settled: TaskSettled) -> None:
    screen.put_record(f"{settled.aggregate}, as it stood", settled.row)
    for event in settled.events:
        screen.put_record(event["type"], event["payload"])


def _settle_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="the aggregate's id, as `outbox attention` shows it after the /")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--paid-elsewhere",
        type=text,
        metavar="REFERENCE",
        help="it was paid outside the provider, under this reference, which is published: name no person in it",
    )
    how.add_argument("--written-off", action="store_true", help="it is no longer owed, and nothing will be paid")
    add_execution(parser)


def _row_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=count, help="the row, as `outbox tasks` shows it")
    add_execution(parser)


def _reschedule_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at", metavar="TIME", help="when: RFC 3339, or 15m for in 15 minutes (s, m, h, d); default: now"
    )
    _row_arguments(parser)


VERBS: Final[Mapping[str, Verb]] = {
    "tasks": Verb(
        _tasks,
        "List what is due and when, soonest first, with attempts and the last error; filters combine.",
        "outbox tasks --service payment --failing",
        _tasks_arguments,
    ),
    "reschedule": Verb(
        _reschedule,
        "Let a due task be attempted now, or, where it is declared as movable, at another time. Without --execute, say "
        "what that would do.",
        "outbox reschedule 4711 --service order --at 2h --execute --reason 'the bank is away until noon'",
        _reschedule_arguments,
    ),
    "cancel-task": Verb(
        _cancel,
        "End a due task without its attempt, where it is declared what is then recorded; a charge, void or refund "
        "never is. Without --execute, show what would be recorded.",
        "outbox cancel-task 4711 --service notification --execute --reason 'the customer was told by telephone'",
        _row_arguments,
    ),
    "settle": Verb(
        _settle,
        "Settle a due task that no attempt can end: what it owed was paid elsewhere, or is written off. Without "
        "--execute, show the row as it stands and what would be recorded.",
        "outbox settle 0198c0de-7000-7000-8000-000000000001 --service payment --paid-elsewhere 'transfer 4711' "
        "--execute --reason 'the card is closed; paid by bank transfer'",
        _settle_arguments,
    ),
}
