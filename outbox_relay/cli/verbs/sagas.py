"""`outbox order` and `orders`, where the project's saga is of orders: one saga's story, and which wait, and why.

A project names its saga's file in `[tool.waybill]`; the verbs are called by its aggregate. Without one there are none.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any, Final

import psycopg

from outbox_relay.cli import screen
from outbox_relay.cli.verb import DONE, MISMATCH, PARTIAL, Given, Verb, code_of, count
from outbox_relay.operations.sagas import project, story, waiting
from outbox_relay.operations.sagas.causes import Cause, Why
from outbox_relay.operations.sagas.facts import Received
from outbox_relay.operations.sagas.followers import Follower
from outbox_relay.operations.sagas.steps import Step
from outbox_relay.operations.sagas.story import Story, StoryEvent
from outbox_relay.operations.sagas.waiting import Choice, Page, Waiting
from outbox_relay.operations.tasks.due import Due
from outbox_relay.operations.topology import Topology, UsageError, sessions
from waybill.database.sqlstate import one_line
from waybill.sagas.saga import Saga

DEFAULT_LIMIT: Final = 50
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LARGEST_AGE: Final = 6  # digits
RUNBOOK: Final = "docs/runbook.md#"
EXAMPLE: Final = "0198c0de-7000-7000-8000-000000000001"


def verbs() -> Mapping[str, Verb]:
    """Return the verbs of the project's saga; none where it names none. Raises ApplicationUnknown."""
    saga = project.of_project()
    if saga is None:
        return {}
    one, all_ = saga.aggregate, f"{saga.aggregate}s"
    return {
        one: Verb(
            partial(_story, saga),
            f"Tell the whole story of one {one} over all services: events, who received them, what is due, the steps "
            "that remain, why it waits, and the next command.",
            f"outbox {one} {EXAMPLE}",
            _story_arguments,
        ),
        all_: Verb(
            partial(_waiting, saga),
            f"List every {one} that has not ended, oldest first: its step, its age there, why it waits, and the next "
            "command.",
            f"outbox {all_} --waiting --step {saga.own.open[0]} --older-than 5m",
            _waiting_arguments,
        ),
    }


def _story(saga: Saga, given: Given, topology: Topology) -> int:
    with sessions(topology, story.services(saga)) as (connections, failures):
        if not connections:
            return code_of({}, failures or dict.fromkeys(story.services(saga), "no database is known for it"))
        found = story.story(saga, connections, failures, given.key)
    if found is None:
        screen.tell(f"no event of {saga.aggregate} {given.key} in {', '.join(connections)}")
        return PARTIAL if failures else MISMATCH
    if given.json:
        screen.put_json([in_json(found)])
    else:
        _put_story(found)
    for service, why in found.away.items():
        screen.tell(f"database {service}: {why}")
    return PARTIAL if found.away else DONE


def _put_story(found: Story) -> None:
    title = f"{found.saga} {found.key}: {found.status or 'nobody can tell, its own database is away'}"
    screen.put_record(
        title,
        {
            "since": found.since,
            "why": found.why[0].says if found.why else "it has ended" if found.ended else None,
            "next": found.why[0].next if found.why else None,
            "runbook": f"{RUNBOOK}{found.why[0].runbook}" if found.why else None,
            "log": found.log_filter,
        },
    )
    for more in found.why[1:]:
        screen.put_record("and", {"why": more.says, "next": more.next})
    screen.put_table([_event_line(one) for one in found.events])
    screen.put_table([_due_line(one) for one in found.due])
    screen.put_table([_follower_line(one) for one in found.followers])
    screen.put_table([_step_line(one) for one in found.remaining])


def _event_line(one: StoryEvent) -> dict[str, Any]:
    place = f"{one.topic}/{'?' if one.partition is None else one.partition}/{'?' if one.offset is None else one.offset}"
    return {
        "at": one.recorded_at,
        "service": one.service,
        "event": one.name,
        "version": f"{one.aggregate} {one.version}",
        "place": place if one.topic else None,
        "stands": one.stands,
        "received": ", ".join(map(_receipt, one.received)) or None,
        "by": one.made_by,
        "to": one.to,
    }


def _receipt(one: Received) -> str:
    return f"{one.service}: {one.receipt}" + (f" ({one.reason})" if one.reason else "")


def _due_line(one: Due) -> dict[str, Any]:
    return {
        "task": one.task,
        "of": one.service,
        "due_at": one.due_at,
        "attempts": one.attempts,
        "last error": one.last_error,
        "needs attention since": one.attention_since,
    }


def _follower_line(one: Follower) -> dict[str, Any]:
    return {"led to": one.kind, "id": one.key, "of": one.service, "since": one.since, "stands": one.stands}


def _step_line(one: Step) -> dict[str, Any]:
    return {
        "remains": f"{one.on}: {one.task}" if one.task else one.on,
        "in": one.service,
        "makes": ", ".join(one.makes),
        "then": one.to,
        "or": "; ".join(one.otherwise) or None,
    }


def in_json(found: Story) -> dict[str, Any]:
    """Return a story as one object."""
    followers = [asdict(one) | {"stands": one.stands} for one in found.followers]
    return asdict(found) | {"followers": followers}


def _story_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="its id, which is the key of its records")


def _waiting(saga: Saga, given: Given, topology: Topology) -> int:
    choice = _choice(saga, given, topology)
    with sessions(topology, story.services(saga)) as (connections, failures):
        own, *_ = story.services(saga)
        if own not in connections:
            return code_of({}, {own: failures.get(own, "no database is known for it")})
        try:
            page = waiting.waiting(saga, connections, failures, choice, after=given.after, limit=given.limit)
        except psycopg.Error as error:
            return code_of({}, {own: one_line(error)})
    _put_page(given, page)
    for service, why in page.away.items():
        screen.tell(f"database {service}: {why}")
    return PARTIAL if page.away else DONE


def _put_page(given: Given, page: Page) -> None:
    if given.json:
        screen.put_json(asdict(one) for one in page.waiting)
    else:
        screen.put_table([_waiting_line(one) for one in page.waiting])
    if page.after is not None:
        screen.tell(f"more: --after {page.after}")


def _waiting_line(one: Waiting) -> dict[str, Any]:
    return {"id": one.key, "step": one.status, "for": f"{one.age_seconds:.0f} s", **_why_cells(one.why)}


def _why_cells(why: Why) -> dict[str, Any]:
    return {"why": why.cause, "at": why.service, "awaits": " or ".join(why.answers), "next": why.next}


def _waiting_arguments(parser: argparse.ArgumentParser) -> None:
    again = "may be given again"
    parser.add_argument("--waiting", action="store_true", help="leave out what is on its way, a moment after a commit")
    parser.add_argument("--step", action="append", default=[], metavar="STATUS", help=f"in this status; {again}")
    parser.add_argument("--older-than", metavar="AGE", help="as long in its step at least: 90s, 15m, 2h, 3d")
    parser.add_argument("--why", action="append", default=[], metavar="CAUSE", help=f"for this cause; {again}")
    parser.add_argument("--at", action="append", default=[], metavar="SERVICE", help=f"kept at this service; {again}")
    parser.add_argument("--after", metavar="ID", help="go on behind this one, as the last page said")
    parser.add_argument(
        "--limit", type=count, default=DEFAULT_LIMIT, help=f"how many at most (default {DEFAULT_LIMIT})"
    )


def _choice(saga: Saga, given: Given, topology: Topology) -> Choice:
    """Return what the options say. Raises UsageError."""
    causes = [str(one) for one in Cause]
    _refuse_unknown("--step", given.step, saga.own.open)
    _refuse_unknown("--why", given.why, causes)
    waiting_for = [one for one in causes if one != Cause.ON_ITS_WAY] if given.waiting else []
    older_than = timedelta(seconds=_seconds(given.older_than)) if given.older_than else timedelta()
    return Choice(given.step, older_than, given.why or waiting_for, topology.chosen(given.at) if given.at else ())


def _refuse_unknown(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    for one in given:
        if one not in known:
            raise UsageError(f"{option} {one!r} is none of: {', '.join(known)}")


def _seconds(given: str) -> float:
    number, unit = given[:-1], given[-1:]
    if unit not in UNITS or not number.isdecimal() or len(number) > LARGEST_AGE:
        raise UsageError(f"--older-than {given!r} is no age; write 90s, 15m, 2h or 3d")
    return float(int(number) * UNITS[unit])
