"""Redrives: every job, how far it is and what came of it; resumed, or given up."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from django.http import Http404, HttpRequest

from console_service.web import jobs as commands
from console_service.web.action import Action, Asked, Plan, Refused
from console_service.web.databases import ask, change, names
from console_service.web.page import page
from console_service.web.paging import ROWS, after, rows
from outbox_relay.operations.redrives import jobs
from outbox_relay.operations.redrives.jobs import Job
from waybill.inbox.redrive_results import Outcome

NEWEST: Final = 100  # jobs of each service
UNTRIED: Final = "untried"


@page("console/redrives.html", "Redrives")
def show(request: HttpRequest) -> Mapping[str, Any]:
    """Show the newest jobs of all services."""
    found = ask(request, lambda name, open_: jobs.newest(name, open_, NEWEST))
    return {"jobs": sorted((one for ones in found.values() for one in ones), key=_begun, reverse=True)}


def _begun(job: Job) -> Any:
    return job.created_at


@page("console/redrive.html", "Redrive")
def one(request: HttpRequest, service: str, job_id: UUID) -> Mapping[str, Any]:
    """Show a job, with what came of each dead letter, by outcome."""
    if service not in names():
        raise Http404(f"no service {service}")
    outcome = request.GET.get("outcome") or Outcome.FAILED.value
    wanted = None if outcome == UNTRIED else outcome
    cursor = _row(after(request))
    found = ask(
        request,
        lambda name, open_: (
            jobs.read(name, open_, job_id),
            jobs.results(open_, job_id, wanted, ROWS + 1, after=cursor),
        ),
        [service],
    )
    job, results = found.get(service, (None, []))
    if found and job is None:
        raise Http404("there is no such redrive")
    return {
        "job": job,
        "outcome": outcome,
        "counts": [(name.value, getattr(job, name.value)) for name in Outcome] if job else [],
        "untried": job.total - job.done if job else 0,
        "rows": rows(request, results, lambda result: [result.row_id]),
        "parent": "redrives",
        "actions": [("redrives-resume", "Resume"), ("redrives-abandon", "Give up")],
        "service": service,
    }


def _row(given: list[Any] | None) -> UUID | None:
    try:
        return UUID(given[0]) if given else None
    except (ValueError, IndexError, AttributeError):
        return None


def _job(asked: Asked) -> Job:
    service = asked.fields.get("service", "")
    try:
        job_id = UUID(asked.fields.get("job", ""))
    except ValueError:
        raise Refused("say which redrive") from None
    if service not in names():
        raise Refused("say of which service")
    job = change(service, lambda name, open_: jobs.read(name, open_, job_id))
    if job is None:
        raise Refused("there is no such redrive")
    if job.finished_at is not None:
        raise Refused(f"it is {job.state}")
    return job


def _plan_resume(asked: Asked) -> Plan:
    job = _job(asked)
    if job.state == "running":
        raise Refused("it is running")
    rate = f"{job.rate} a second" if job.rate else "as fast as they can be"
    return Plan(
        f"The dead letters of {job.service} that are left of this redrive are tried, {rate}.",
        warning="What they lead to happens now, as a charge, a refund or a mail.",
        bound=[str(job.id), job.rate],
    )


def _resume(asked: Asked) -> str:
    job = _job(asked)
    commands.redrive(job.id, asked.by, asked.reason)
    return f"Redrive {job.id} works on"


def _plan_abandon(asked: Asked) -> Plan:
    job = _job(asked)
    return Plan(
        f"The redrive of {job.total} dead letters of {job.service} is given up: what is handled stays handled, what is "
        "not tried yet stays a dead letter, and it cannot be resumed.",
        bound=[str(job.id)],
    )


def _abandon(asked: Asked) -> str:
    job = _job(asked)
    ended = change(job.service, lambda _, open_: jobs.abandon(open_, job, asked.by, asked.reason))
    return f"Redrive {job.id} is given up" if ended else f"Redrive {job.id} had ended already"


resume = Action("resume a redrive", back="redrives", plan=_plan_resume, execute=_resume)
abandon = Action("give up a redrive", back="redrives", plan=_plan_abandon, execute=_abandon)
