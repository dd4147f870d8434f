"""Due tasks and deadlines: what waits for when; attempted at another time, or cancelled where the service allows it."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest

from console_service.web.action import Action, Asked, Plan, Refused
from console_service.web.databases import ask, names, topology
from console_service.web.page import page
from console_service.web.paging import ROWS, after, cursor
from outbox_relay.operations.service_programs import refuse_projects
from outbox_relay.operations.tasks import due, ending
from outbox_relay.operations.tasks.due import Choice
from outbox_relay.operations.topology import DependencyDown, UsageError
from waybill.runtime.reports import (
    CancelTaskRequest,
    ProgramFailed,
    RescheduleRequest,
    SettlementRefused,
    TaskRescheduled,
    TaskSettled,
)


@page("console/tasks.html", "Due tasks")
def show(request: HttpRequest) -> Mapping[str, Any]:
    """Show the rows that are due next in each service; of one service page by page."""
    service = request.GET.get("service", "")
    chosen = [service] if service in names() else None
    place = _place(after(request)) if chosen else None
    choice = Choice(
        tasks=[request.GET["task"]] if request.GET.get("task") else [],
        keys=[request.GET["key"]] if request.GET.get("key") else [],
        failing="failing" in request.GET,
        attention="attention" in request.GET,
        after=place,
    )
    found = ask(request, lambda name, open_: due.listed(name, open_, choice, ROWS + 1), chosen)
    shown = [one for several in found.values() for one in several[:ROWS]]
    follows = {name: several[ROWS - 1] for name, several in found.items() if len(several) > ROWS}
    return {
        "tasks": [
            asdict(one) | {"key": one.aggregate.partition("/")[2]}
            for one in sorted(shown, key=lambda one: (one.due_at, one.id))
        ],
        "services": names(),
        "service": service,
        "filters": {name: request.GET.get(name, "") for name in ("task", "key", "failing", "attention")},
        "follows": [(name, _next(request, name, [last.due_at, last.id])) for name, last in follows.items()],
        "row": request.GET.get("row", ""),
    }


def _place(given: list[Any] | None) -> str | None:
    place = "/".join(map(str, given)) if given else None
    try:
        return due.place(place) and place if place else None
    except UsageError:
        return None


def _next(request: HttpRequest, service: str, key: list[Any]) -> str:
    asked = request.GET.copy()
    asked["service"], asked["after"] = service, cursor(key)
    return f"?{asked.urlencode()}"


def _row(asked: Asked) -> tuple[str, int]:
    service, row = asked.fields.get("service", ""), asked.fields.get("id", "")
    if service not in names():
        raise Refused("say of which service")
    if not row.isdecimal() or len(row) > len(str(2**63)):
        raise Refused("say which task, by the id of its row")
    refuse_projects(topology(), [service], "due tasks")
    return service, int(row)


def _moved(asked: Asked, *, execute: bool) -> TaskRescheduled:
    service, row = _row(asked)
    given = asked.fields.get("at", "").strip()
    try:
        at = datetime.fromisoformat(given) if given else None
    except ValueError:
        raise Refused(f"{given!r} is no time; write 2026-01-31T12:00, in UTC, or nothing for now") from None
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    reason = asked.reason if execute else None
    said = RescheduleRequest(row, at and at.isoformat(), execute, asked.by, reason)
    match ending.reschedule(topology(), service, said):
        case ProgramFailed(reason=why):
            raise DependencyDown(f"{service}: {why}")
        case SettlementRefused(reason=why):
            raise Refused(f"{why}; nothing is changed")
        case moved:
            return moved


def _plan_reschedule(asked: Asked) -> Plan:
    moved = _moved(asked, execute=False)
    when = asked.fields.get("at", "").strip() or "now"
    return Plan(
        f"{moved.task} of {moved.aggregate} is attempted {when}; it was due {moved.was}.",
        warning=f"An attempt {moved.does}" if moved.does else "",
        bound=[moved.aggregate, moved.task, moved.was, when],
    )


def _reschedule(asked: Asked) -> str:
    moved = _moved(asked, execute=True)
    return f"{moved.task} of {moved.aggregate} is due {moved.due_at}"


def _cancelled(asked: Asked, *, execute: bool) -> TaskSettled:
    service, row = _row(asked)
    reason = asked.reason if execute else None
    match ending.cancel(topology(), service, CancelTaskRequest(row, execute, asked.by, reason)):
        case ProgramFailed(reason=why):
            raise DependencyDown(f"{service}: {why}")
        case SettlementRefused(reason=why):
            raise Refused(f"{why}; nothing is changed")
        case ended:
            return ended


def _plan_cancel(asked: Asked) -> Plan:
    ended = _cancelled(asked, execute=False)
    return Plan(
        f"{ended.task} of {ended.aggregate} ends without its attempt. Recorded:",
        [str(event["type"]) for event in ended.events] or ["no event"],
        warning="It cannot be taken back.",
        bound=[ended.aggregate, ended.task, list(ended.events)],
    )


def _cancel(asked: Asked) -> str:
    ended = _cancelled(asked, execute=True)
    return f"{ended.task} of {ended.aggregate} is cancelled"


reschedule = Action("reschedule a task", back="tasks", plan=_plan_reschedule, execute=_reschedule)
cancel = Action("cancel a task", back="tasks", plan=_plan_cancel, execute=_cancel)
