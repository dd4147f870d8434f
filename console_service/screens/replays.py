"""Replays: planned by a filter, shown as a dry run, sent as jobs; resumed, or given up."""

from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest

from console_service.web import jobs as commands
from console_service.web.action import Action, Asked, Plan, Refused
from console_service.web.databases import ask, change, names, topology
from console_service.web.page import page
from outbox_relay.operations.events import listing
from outbox_relay.operations.events.listing import Filter
from outbox_relay.operations.replay import jobs, replay
from outbox_relay.operations.replay import plan as plans
from outbox_relay.operations.replay.jobs import Job
from outbox_relay.operations.replay.options import Options
from waybill.application import event_classes

NEWEST: Final = 100  # jobs of each service
FILTERS: Final = ("aggregate", "event_type", "positions", "since", "until")


@page("console/replays.html", "Replays")
def show(request: HttpRequest) -> Mapping[str, Any]:
    """Show the newest jobs of all services, and the form of a new one, filled in from the address."""
    found = ask(request, lambda name, open_: jobs.newest(name, open_, NEWEST))
    known = sorted((one for ones in found.values() for one in ones), key=_begun, reverse=True)
    return {
        "jobs": known,
        "stopped": [one for one in known if one.state == "stopped"],
        "services": names(),
        "types": sorted(event_classes()),
        "given": {name: request.GET.get(name, "") for name in (*FILTERS, "service", "to_consumer", "rate")},
    }


def _begun(job: Job) -> Any:
    return job.created_at


def _options(asked: Asked) -> tuple[str, Options]:
    fields = asked.fields
    service = fields.get("service", "")
    if service not in names():
        raise Refused("say which service's events")
    given = {name: fields.get(name, "").strip() for name in (*FILTERS, "to_consumer", "rate")}
    if not any(given[name] for name in FILTERS):
        raise Refused("choose what to replay: an aggregate, a type, positions or a time (everything: positions 1..)")
    if given["rate"] and not (given["rate"].isdecimal() and 0 < int(given["rate"]) < 2**31):
        raise Refused("a rate is a whole number of events a second")
    kind, key = listing.aggregate(given["aggregate"]) if given["aggregate"] else (None, None)
    first, last = listing.positions(given["positions"]) if given["positions"] else (1, listing.LARGEST_POSITION)
    reprocess = fields.get("reprocess") == "on"
    if reprocess and not given["to_consumer"]:
        raise Refused("say which group handles the events again: nobody lets everybody do that")
    wanted = Filter(
        aggregate_type=kind,
        aggregate_id=key,
        event_types=(listing.event_type(given["event_type"]),) if given["event_type"] else (),
        first=first,
        last=last,
        since=listing.moment(given["since"]) if given["since"] else None,
        until=listing.moment(given["until"]) if given["until"] else None,
    )
    return service, Options(
        wanted=wanted,
        to_consumer=given["to_consumer"] or None,
        reprocess=reprocess,
        effects=fields.get("effects") == "on",
        rate=int(given["rate"]) if given["rate"] else None,
        by=asked.by,
        reason=asked.reason,
    )


def _planned(service: str, options: Options) -> plans.Plan:
    found, failures = replay.make_plans(topology(), [service], options)
    for why in failures.values():
        raise Refused(f"database {service}: {why}")
    if refusal := replay.refusal(topology(), found.values(), options):
        raise Refused(refusal)
    if not found[service].total:
        raise Refused("nothing to replay: no published event is meant")
    return found[service]


def _plan(asked: Asked) -> Plan:
    service, options = _options(asked)
    planned = _planned(service, options)
    warnings: list[str] = []
    if options.reprocess:
        warnings.append(f"{options.to_consumer} handles again what it has handled.")
    if options.effects:
        warnings.append("Mail may be sent for what follows, a second time.")
    return Plan(
        f"{planned.total} events of {service} are sent again to {options.to_consumer or 'all groups'}"
        f"{f', {options.rate} a second at most' if options.rate else ''}.",
        [
            f"{one.events} of {one.event_type.rpartition('.')[2]}, positions {one.first} to {one.last}"
            + (f": not sent, {one.left_out}" if one.left_out else f" on {one.topic}")
            for one in planned.slices
        ],
        warning=" ".join(warnings),
    )


def _execute(asked: Asked) -> str:
    service, options = _options(asked)
    made = replay.make_jobs(topology(), {service: _planned(service, options)}, options)
    for job in made:
        commands.replay(job.id, asked.by)
    return f"Replay {', '.join(str(job.id) for job in made)} has begun"


def _job(asked: Asked) -> Job:
    service = asked.fields.get("service", "")
    if service not in names():
        raise Refused("say of which service")
    job_id = jobs.identifier(asked.fields.get("job", ""))
    job = change(service, lambda name, open_: jobs.read(name, open_, job_id))
    if job is None:
        raise Refused("there is no such replay")
    if job.finished_at is not None:
        raise Refused(f"it is {job.state}")
    if job.state == "running":
        raise Refused("it is running; it is stopped where its command runs")
    return job


def _plan_resume(asked: Asked) -> Plan:
    job = _job(asked)
    effects = "Mail may be sent for what follows." if job.options.effects else ""
    said = f"{job.total - job.sent} events of {job.service} that are left of this replay are sent."
    return Plan(said, warning=effects, bound=[str(job.id), job.sent])


def _resume(asked: Asked) -> str:
    job = _job(asked)
    commands.replay(job.id, asked.by)
    return f"Replay {job.id} works on"


def _plan_abandon(asked: Asked) -> Plan:
    job = _job(asked)
    said = f"The replay is given up: {job.sent} of {job.total} events stay sent, and it cannot be resumed."
    return Plan(said, bound=[str(job.id), job.sent])


def _abandon(asked: Asked) -> str:
    job = _job(asked)
    replay.abandon(topology(), job, asked.reason, asked.by)
    return f"Replay {job.id} is given up"


send = Action("replay", back="replays", plan=_plan, execute=_execute)
resume = Action("resume a replay", back="replays", plan=_plan_resume, execute=_resume)
abandon = Action("give up a replay", back="replays", plan=_plan_abandon, execute=_abandon)
