"""`outbox replay` and `jobs`."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from outbox_relay.cli import redriving, screen
from outbox_relay.cli.stopping import stoppable
from outbox_relay.cli.verb import (
    DONE,
    INTERRUPTED,
    MISMATCH,
    Given,
    Verb,
    add_filters,
    add_record,
    code_of,
    count,
    read_filter,
    refuse_silent_execution,
)
from outbox_relay.cli.verbs import partitions
from outbox_relay.operations.events import listing
from outbox_relay.operations.redrives import jobs as redrives
from outbox_relay.operations.replay import jobs, replay
from outbox_relay.operations.replay.jobs import Job
from outbox_relay.operations.replay.options import Options
from outbox_relay.operations.replay.plan import Plan, Slice
from outbox_relay.operations.replay.replay import Resumption
from outbox_relay.operations.topology import DependencyDown, Topology, UsageError, ask

FILTERS: Final = ("aggregate", "type", "positions", "since", "until", "events")


def _replay(given: Given, topology: Topology) -> int:
    _check(given)
    services = topology.chosen(given.service)
    if given.resume:
        return _resume(given, topology)
    if given.abandon:
        return _abandon(given, topology)
    options = _options(given)
    plans, failures = replay.make_plans(topology, services, options)
    if not plans:
        return code_of(plans, failures)
    if not given.execute:
        screen.put(
            given, [_slice_line(options, service, one) for service, plan in plans.items() for one in plan.slices]
        )
    _tell_archived(plans)
    refusal = replay.refusal(topology, plans.values(), options)
    unknown = replay.unknown(topology, plans, options.events) if options.events else set[UUID]()
    for event_id in sorted(unknown):
        screen.tell(f"no event {event_id} in {', '.join(plans)}")
    total = sum(plan.total for plan in plans.values())
    if not given.execute:
        if refusal:
            screen.tell(f"would be refused: {refusal}")
        screen.tell(f"dry run: {total} events; --execute --reason '…' sends them")
        return code_of(plans, failures) or (MISMATCH if unknown else DONE)
    if refusal:
        raise UsageError(refusal)
    _ = topology.broker  # nobody told it: say so before a job is made
    if not total:
        screen.tell("nothing to replay: no published event is meant")
        return code_of(plans, failures) or MISMATCH
    return _send(given, topology, replay.make_jobs(topology, plans, options)) or code_of(plans, failures)


def _tell_archived(plans: Mapping[str, Plan]) -> None:
    for service, plan in plans.items():
        if plan.archived:
            screen.tell(f"{service}: {partitions.said_of(plan.archived)}, and not sent")


def _check(given: Given) -> None:
    named = [name for name in FILTERS if getattr(given, name)]
    if given.resume or given.abandon:
        verb, without = ("abandon", "rate") if given.abandon else ("resume", "reason")
        more = [*named, *(name for name in ("execute", "to_consumer", without) if getattr(given, name))]
        if more:
            raise UsageError(f"--{verb} is about a job that is there; leave out {', '.join(map(_option, more))}")
        if given.abandon and not given.reason:
            raise UsageError("--abandon needs --reason, for those who read it later")
    elif not named:
        raise UsageError(f"choose what to replay: {', '.join(map(_option, FILTERS))} (everything: --positions 1..)")
    refuse_silent_execution(given)
    if given.reprocess and not given.to_consumer:
        raise UsageError("--reprocess needs --to-consumer GROUP: nobody lets everybody handle events again")


def _option(name: str) -> str:
    return f"--{name.removesuffix('s') if name == 'events' else name.replace('_', '-')}"


def _options(given: Given) -> Options:
    return Options(
        wanted=read_filter(given),
        events=tuple(listing.identifier(one) for one in given.events),
        to_consumer=given.to_consumer,
        reprocess=given.reprocess,
        effects=given.with_effects,
        rate=given.rate,
        by=given.by,
        reason=given.reason or "",
    )


def _slice_line(options: Options, service: str, one: Slice) -> dict[str, Any]:
    return {
        "service": service,
        "topic": one.topic,
        "type": one.event_type.rpartition(".")[2],
        "events": one.events,
        "first": one.first,
        "last": one.last,
        "earliest": one.earliest,
        "latest": one.latest,
        "goes": f"nowhere: {one.left_out}" if one.left_out else f"to {options.to_consumer or 'all'}",
    }


def _resume(given: Given, topology: Topology) -> int:
    found = replay.find(topology, topology.chosen(given.service), jobs.identifier(given.resume))
    if found.finished_at is not None:
        return _tell_ended(given, found, "done")
    return _send(given, topology, [found], Resumption(given.rate, given.by))


def _abandon(given: Given, topology: Topology) -> int:
    found = replay.find(topology, topology.chosen(given.service), jobs.identifier(given.abandon))
    if found.finished_at is not None:
        return _tell_ended(given, found, "abandoned")
    screen.put(given, [_job_line(replay.abandon(topology, found, given.reason, given.by))])
    return DONE


def _tell_ended(given: Given, job: Job, wanted: jobs.State) -> int:
    screen.tell(f"job {job.id} is {job.state}: {job.sent} of {job.total} events were sent; nothing is changed")
    screen.put(given, [_job_line(job)])
    return DONE if job.state == wanted else MISMATCH


def _send(given: Given, topology: Topology, made: Sequence[Job], resumption: Resumption | None = None) -> int:
    """Send jobs one after the other; whatever stops one, say how to resume it and those behind it."""
    ended: list[Job] = []
    failure: str | None = None
    with stoppable() as stop:
        for job in made:
            try:
                with screen.progress(f"events of {job.service}") as progress:
                    ended.append(replay.send(topology, job, lambda: stop.requested, progress, resumption))
            except DependencyDown as error:
                failure = str(error)
                break
            if stop.requested:
                break
    screen.put(given, [_job_line(job) for job in ended])
    done = {job.id for job in ended if job.state == "done"}
    left = [str(job.id) for job in made if job.id not in done]
    how = "; ".join(f"outbox replay --resume {job_id}" for job_id in left)
    if failure and not stop.requested:
        raise DependencyDown(f"{failure}; resume with: {how}")
    if left:
        screen.tell(f"stopped; resume with: {how}")
    return INTERRUPTED if left else DONE


def _jobs(given: Given, topology: Topology) -> int:
    answers, failures = ask(
        topology,
        topology.chosen(given.service),
        lambda name, open_: [*jobs.newest(name, open_, given.limit), *redrives.newest(name, open_, given.limit)],
    )
    found = sorted((job for ones in answers.values() for job in ones), key=lambda job: job.created_at)
    if given.json:
        screen.put_json(job.shown() for job in found)
    else:
        screen.put_table([_beside_redrives(job) if isinstance(job, Job) else redriving.job_line(job) for job in found])
    return code_of(answers, failures)


def _job_line(job: Job) -> dict[str, Any]:
    return {
        "job": str(job.id),
        "service": job.service,
        "state": job.state,
        "sent": job.sent,
        "total": job.total,
        "goes": f"to {job.options.to_consumer or 'all'}",
        "rate": job.options.rate,
        "by": job.options.by,
        "reason": job.options.reason,
        "created_at": job.created_at,
    }


def _beside_redrives(job: Job) -> dict[str, Any]:
    """Return a job's line in the table that has redrives too, by the names that both have."""
    return {
        "job": str(job.id),
        "verb": "replay",
        "service": job.service,
        "state": job.state,
        "done": job.sent,
        "total": job.total,
        "result": f"sent to {job.options.to_consumer or 'all'}",
        "rate": job.options.rate,
        "by": job.options.by,
        "reason": job.options.reason,
        "created_at": job.created_at,
    }


def _replay_arguments(parser: argparse.ArgumentParser) -> None:
    add_filters(parser)
    parser.add_argument(
        "--event", dest="events", action="append", default=[], metavar="ID", help="the event with this id; repeatable"
    )
    parser.add_argument("--execute", action="store_true", help="send; without it, say what would go where")
    parser.add_argument("--to-consumer", metavar="GROUP", help="only for this consumer group, as in order_service")
    parser.add_argument("--reprocess", action="store_true", help="that group handles again what it has handled")
    parser.add_argument("--with-effects", action="store_true", help="what follows may reach people: mail is sent")
    parser.add_argument("--rate", type=count, metavar="N", help="events a second at most")
    ended = parser.add_mutually_exclusive_group()
    ended.add_argument("--resume", metavar="JOB", help="resume a job that was stopped; outbox jobs lists them")
    ended.add_argument("--abandon", metavar="JOB", help="give such a job up; what it has sent stays sent")
    add_record(parser, required=False)
    parser.set_defaults(event=None, reason=None)


def _jobs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=count, default=20, help="jobs a service, the newest (default 20)")


VERBS: Final = {
    "replay": Verb(
        _replay,
        "Send published events again: without --execute, say what would go where. Services drop what they have; "
        "a job that stops is resumed without a hole.",
        "outbox replay --service order --type OrderPlaced --since 2h --execute --reason 'the broker lost its tail'",
        _replay_arguments,
    ),
    "jobs": Verb(
        _jobs,
        "List replays and redrives at a rate: how far they are, with what result, whose, and why.",
        "outbox jobs",
        _jobs_arguments,
    ),
}
