"""A replay over all outboxes: planned, held against the inboxes, made into jobs, and sent one job after the other."""

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import NamedTuple
from uuid import UUID

import psycopg

from outbox_relay.operations import inbox_retention, names
from outbox_relay.operations.inbox_retention import InboxRetention
from outbox_relay.operations.replay import jobs, plan
from outbox_relay.operations.replay.jobs import Job
from outbox_relay.operations.replay.options import Options
from outbox_relay.operations.replay.plan import Plan
from outbox_relay.operations.replay.sending import Sending
from outbox_relay.operations.topics import groups, missing
from outbox_relay.operations.topology import UNBOUNDED, DependencyDown, Topology, UsageError, ask, session
from outbox_relay.relay.kafka.broker import BrokerUnavailable
from waybill.database.sqlstate import one_line


class Resumption(NamedTuple):
    """Who resumes a job, and at which other rate, if one is given."""

    rate: int | None
    by: str


def make_plans(
    topology: Topology, services: Collection[str], options: Options
) -> tuple[Mapping[str, Plan], dict[str, str]]:
    """Return what would be sent of each outbox, and which databases did not answer.

    Raises UsageError for a group that nobody has, DependencyDown where broker or database does not say which there are.
    """
    if options.to_consumer:
        _check_group(options.to_consumer, topology)
    return ask(topology, services, lambda _, connection: plan.make(connection, options), UNBOUNDED)


def _check_group(group: str, topology: Topology) -> None:
    """Refuse a group that nobody has; one of our services may be away for so long that the broker has forgotten it."""
    found, failures = ask(topology, topology.databases, names.recorded)
    ours = {service: name.group for service, name in found.items()}
    if group in ours.values():
        return
    if group in ours:
        raise UsageError(f"--to-consumer {group}: the group of that service is {ours[group]}")
    known = sorted({*ours.values(), *groups.names(topology.broker)})
    if group in known:
        return
    for service, why in failures.items():
        raise DependencyDown(f"database {service}: {why}; whether {group} is its consumer group, nobody knows")
    near = get_close_matches(group, known, 3, 0.5) or known[:3]
    raise UsageError(f"--to-consumer {group}: the broker knows no such consumer group; near are {', '.join(near)}")


def refusal(topology: Topology, plans: Collection[Plan], options: Options) -> str | None:
    """Return why the inboxes forbid it; raises DependencyDown where one that matters does not answer."""
    oldest = plan.oldest(plans)
    return inbox_retention.forgotten(_retentions(topology, oldest, options), oldest)


def _retentions(topology: Topology, types: Collection[str], options: Options) -> list[InboxRetention]:
    retentions, failures = inbox_retention.ask_inboxes(
        topology, types, options.to_consumer, reprocess=options.reprocess
    )
    for service, why in failures.items():
        raise DependencyDown(f"database {service}: {why}; its inbox must say how far back it remembers")
    return retentions


def unknown(topology: Topology, services: Collection[str], events: Collection[UUID]) -> set[UUID]:
    """Return which ids are of no event in any of these outboxes that answers."""
    missing_there, _ = ask(topology, services, lambda _, connection: plan.unknown(connection, events), UNBOUNDED)
    return set[UUID].intersection(*missing_there.values()) if missing_there else set()


def make_jobs(topology: Topology, plans: Mapping[str, Plan], options: Options) -> list[Job]:
    """Make a job of each plan that sends something, and note what it fills in the inboxes. Raises DependencyDown."""
    made, failures = ask(
        topology,
        [service for service, one in plans.items() if one.sent],
        lambda service, connection: jobs.make(service, connection, options, plans[service]),
        UNBOUNDED,
    )
    for service, why in failures.items():
        raise DependencyDown(f"database {service}: {why}; no job was made there")
    # Which gaps these events fill is noted after the jobs exist: a gap must not wait for a job that was never made.
    missing.await_replayed(topology, options.to_consumer)
    return list(made.values())


def find(topology: Topology, services: Collection[str], job_id: UUID) -> Job:
    """Return a job, whichever database has it. Raises UsageError, DependencyDown."""
    answers, failures = ask(topology, services, lambda name, connection: jobs.read(name, connection, job_id))
    for job in answers.values():
        if job is not None:
            return job
    for service, why in failures.items():
        raise DependencyDown(f"database {service}: {why}")
    raise UsageError(f"no job {job_id} in {', '.join(topology.databases)}; outbox jobs lists them")


def send(
    topology: Topology,
    job: Job,
    stop_requested: Callable[[], bool],
    progress: Callable[[int, int], object],
    resumption: Resumption | None = None,
) -> Job:
    """Send what is left of a job, and return it as it stands then; blocks. Raises UsageError, DependencyDown.

    Whatever is raised, all that was acknowledged is durable.
    """
    retentions = _retentions(topology, job.event_types, job.options)
    try:
        with session(topology.databases[job.service]) as connection:
            jobs.take(connection, job.id)
            if resumption:
                jobs.resume(connection, job, resumption.rate, resumption.by)
            return Sending(connection, job, topology.broker, retentions, stop_requested).run(progress)
    except jobs.Taken as error:
        raise UsageError(str(error)) from None
    except psycopg.Error as error:
        raise DependencyDown(f"database {job.service}: {one_line(error)}") from None
    except BrokerUnavailable as error:
        raise DependencyDown(f"Kafka at {topology.kafka}: {error}") from None


def abandon(topology: Topology, job: Job, reason: str, by: str) -> Job:
    """Give a job up, on record, and return it as it stands then. Raises UsageError, psycopg.Error."""
    with session(topology.databases[job.service]) as connection:
        try:
            jobs.take(connection, job.id)
        except jobs.Taken as error:
            raise UsageError(str(error)) from None
        jobs.abandon(connection, job, reason, by)
        return jobs.read(job.service, connection, job.id) or job
