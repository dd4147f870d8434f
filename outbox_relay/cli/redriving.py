"""Redrive jobs in a terminal: made, worked on until all is tried or Ctrl-C, resumed and given up."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from outbox_relay.cli import screen
from outbox_relay.cli.stopping import stoppable
from outbox_relay.cli.verb import DONE, INTERRUPTED, MISMATCH, Given, code_of
from outbox_relay.operations import status
from outbox_relay.operations.dead_letters import redrive
from outbox_relay.operations.dead_letters.dead_letters import Choice
from outbox_relay.operations.redrives import jobs, running
from outbox_relay.operations.redrives.jobs import Job
from outbox_relay.operations.redrives.running import Resumption
from outbox_relay.operations.topology import UNBOUNDED, DependencyDown, Topology, UsageError, ask


def job_line(job: Job) -> dict[str, Any]:
    """Return a job's line in a table."""
    counts = ("handled", "ignored", "failed", "behind", "gone")
    said = [f"{getattr(job, name)} {name}" for name in counts if getattr(job, name)]
    return {
        "job": str(job.id),
        "verb": "redrive",
        "service": job.service,
        "state": job.state,
        "done": job.done,
        "total": job.total,
        "result": ", ".join(said) or None,
        "rate": job.rate,
        "by": job.created_by,
        "reason": job.reason,
        "created_at": job.created_at,
    }


def start(given: Given, topology: Topology, services: Sequence[str], choice: Choice) -> int:
    """Make a job in each service where anything is chosen, and work on one after the other."""
    made, failures = ask(
        topology,
        services,
        lambda name, open_: jobs.make(name, open_, choice, given.rate, given.by, given.reason),
        UNBOUNDED,
    )
    found = [job for job in made.values() if job is not None]
    if made and not found:
        screen.tell("no dead letter would be redriven; outbox dead-letters lists them")
    return _work(given, topology, found) or code_of(made, failures) or (DONE if found else MISMATCH)


def resume(given: Given, topology: Topology) -> int:
    """Work on with a job that was stopped."""
    job = _find(topology, topology.chosen(given.service), given.resume)
    if job.finished_at is not None:
        return _tell_ended(given, job, "done")
    return _work(given, topology, [job], Resumption(given.rate, given.by, given.reason))


def abandon(given: Given, topology: Topology) -> int:
    """Give a job up; what has an outcome keeps it."""
    job = _find(topology, topology.chosen(given.service), given.abandon)
    answers, failures = ask(topology, [job.service], lambda _, open_: jobs.abandon(open_, job, given.by, given.reason))
    if failures:
        return code_of(answers, failures)
    ended = _find(topology, [job.service], given.abandon)
    if not answers[job.service]:
        return _tell_ended(given, ended, "abandoned")
    screen.put(given, [ended.shown() if given.json else job_line(ended)])
    return DONE


def _find(topology: Topology, services: Sequence[str], given: str) -> Job:
    try:
        job_id = UUID(given)
    except ValueError:
        raise UsageError(f"{given!r} is no job id: it is a UUID; outbox jobs lists them") from None
    answers, failures = ask(topology, services, lambda name, open_: jobs.read(name, open_, job_id))
    for job in answers.values():
        if job is not None:
            return job
    for service, why in failures.items():
        raise DependencyDown(f"database {service}: {why}")
    raise UsageError(f"no redrive job {job_id} in {', '.join(topology.databases)}; outbox jobs lists them")


def _tell_ended(given: Given, job: Job, wanted: jobs.State) -> int:
    screen.tell(f"job {job.id} is {job.state}: {job.done} of {job.total} dead letters were tried; nothing is changed")
    screen.put(given, [job.shown() if given.json else job_line(job)])
    return DONE if job.state == wanted else MISMATCH


def _work(given: Given, topology: Topology, found: Sequence[Job], resumption: Resumption | None = None) -> int:
    """Work on jobs one after the other; whatever stops one, say how to resume it and those behind it."""
    ended: list[Job] = []
    failure: str | None = None
    with stoppable() as stop:
        for job in found:
            try:
                with screen.progress(f"dead letters of {job.service}") as progress:
                    ended.append(running.run(topology, job, lambda: stop.requested, progress, resumption))
            except DependencyDown as error:
                failure = str(error)
                break
            if stop.requested:
                break
    screen.put(given, [job.shown() if given.json else job_line(job) for job in ended])
    closed = {job.id for job in ended if job.finished_at is not None}
    left = [job for job in found if job.id not in closed]
    how = "; ".join(f"outbox redrive --resume {job.id} --reason '…'" for job in left)
    if failure and not stop.requested:
        raise DependencyDown(f"{failure}; resume with: {how}")
    if left:
        _tell_why(topology, left)
        screen.tell(f"stopped; resume with: {how}")
        return INTERRUPTED
    stays = any(job.failed or job.behind or job.abandoned for job in ended)
    return MISMATCH if stays else DONE


def _tell_why(topology: Topology, left: Sequence[Job]) -> None:
    services = [job.service for job in left]
    for state in ask(topology, services, status.read_status)[0].values():
        if state.paused or state.no_relay:
            screen.tell(f"{state.service}: {redrive.why_waiting(state)}")
