"""The verbs `replay` and `jobs`: arguments, a stop in time, and what is printed."""

import argparse
import signal
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from outbox_relay.cli import screen
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
from outbox_relay.databases import full_name
from outbox_relay.operations import memory
from outbox_relay.operations.events import history
from outbox_relay.operations.places import UNBOUNDED, DependencyDown, Places, UsageError, ask, session
from outbox_relay.operations.replay import jobs, replay
from outbox_relay.operations.replay.jobs import Job
from outbox_relay.operations.replay.replay import Choice, Manner, Share
from outbox_relay.operations.replay.sending import Sending
from outbox_relay.operations.topics import groups, missing
from outbox_relay.relay.broker import BrokerTrouble
from waybill.database.sqlstate import one_line

FILTERS: Final = ("aggregate", "type", "positions", "since", "until", "events")


class _Stop:
    """Whether the operator has asked to stop; asked twice, the command ends at once."""

    def __init__(self) -> None:
        self.told = False

    def __call__(self, *_: object) -> None:
        self.told = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _stoppable() -> Generator[_Stop]:
    stop = _Stop()
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _replay(given: Given, places: Places) -> int:
    _check(given)
    if given.resume:
        return _resume(given, places)
    if given.abandon:
        return _abandon(given, places)
    choice = _choice(given)
    if given.to_consumer:
        _check_group(given.to_consumer, places)
    plans, failures = ask(places, places.chosen(given.service), lambda _, open_: replay.plan(open_, choice), UNBOUNDED)
    if not plans:
        return code_of(plans, failures)
    total = sum(share.events for shares in plans.values() for share in replay.sendable(shares))
    if not given.execute:
        _put(given, [_share_line(given, service, share) for service, shares in plans.items() for share in shares])
    reason = _forgotten(places, given, plans)
    unknown = _tell_missing(places, plans, choice)
    if not given.execute:
        if reason:
            screen.tell(f"would be refused: {reason}")
        screen.tell(f"dry run: {total} events; --execute --reason '…' sends them")
        return code_of(plans, failures) or (MISMATCH if unknown else DONE)
    if reason:
        raise UsageError(reason)
    _ = places.broker  # nobody told it: say so before a job is made
    if not total:
        screen.tell("nothing to replay: no published event is meant")
        return code_of(plans, failures) or MISMATCH
    jobs_made = _make(places, plans, choice, _manner(given))
    missing.await_replayed(places, given.to_consumer)
    return _send(given, places, jobs_made) or code_of(plans, failures)


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


def _check_group(group: str, places: Places) -> None:
    """Refuse a group that nobody has; one of our services may be away for so long that the broker has forgotten it."""
    if group in places.databases:
        raise UsageError(f"--to-consumer {group}: the group of that service is {full_name(group)}")
    ours = [full_name(service) for service in places.databases]
    if group in ours:
        return
    known = sorted({*ours, *groups.names(places.broker)})
    if group not in known:
        near = get_close_matches(group, known, 3, 0.5) or known[:3]
        raise UsageError(f"--to-consumer {group}: the broker knows no such consumer group; near are {', '.join(near)}")


def _option(name: str) -> str:
    return f"--{name.removesuffix('s') if name == 'events' else name.replace('_', '-')}"


def _choice(given: Given) -> Choice:
    return Choice(read_filter(given), tuple(history.identifier(one) for one in given.events))


def _manner(given: Given) -> Manner:
    return Manner(given.reason, given.by, given.to_consumer, given.reprocess, given.with_effects, given.rate)


def _share_line(given: Given, service: str, share: Share) -> dict[str, Any]:
    return {
        "service": service,
        "topic": share.topic,
        "type": share.event_type.rpartition(".")[2],
        "events": share.events,
        "first": share.first,
        "last": share.last,
        "earliest": share.earliest,
        "latest": share.latest,
        "goes": f"nowhere: {share.left_out}" if share.left_out else f"to {given.to_consumer or 'all'}",
    }


def _forgotten(places: Places, given: Given, plans: Mapping[str, Sequence[Share]]) -> str | None:
    """Return why the replay is refused; raises DependencyDown where an inbox that matters does not answer."""
    oldest = replay.oldest([share for shares in plans.values() for share in shares])
    memories, failures = memory.ask_inboxes(places, oldest, given.to_consumer, reprocess=given.reprocess)
    for service, why in failures.items():
        raise DependencyDown(f"database {service}: {why}; its inbox must say how far back it remembers")
    return memory.forgotten(memories, oldest)


def _tell_missing(places: Places, plans: Mapping[str, object], choice: Choice) -> bool:
    if not choice.events:
        return False
    missing, _ = ask(places, list(plans), lambda _, open_: replay.unknown(open_, choice.events), UNBOUNDED)
    nowhere = set[UUID].intersection(*missing.values()) if missing else set[UUID]()
    for event_id in sorted(nowhere):
        screen.tell(f"no event {event_id} in {', '.join(plans)}")
    return bool(nowhere)


def _make(places: Places, plans: Mapping[str, Sequence[Share]], choice: Choice, manner: Manner) -> list[Job]:
    services = [service for service, shares in plans.items() if replay.sendable(shares)]
    made, failures = ask(
        places, services, lambda service, open_: replay.make(service, open_, choice, manner), UNBOUNDED
    )
    for service, why in failures.items():
        raise DependencyDown(f"database {service}: {why}; no job was made there")
    return [job for job in made.values() if job is not None]


def _resume(given: Given, places: Places) -> int:
    found = _find(given.resume, given, places)
    if found.finished_at is not None:
        return _tell_ended(given, found, "done")
    return _send(given, places, [found], _Resumption(given.rate, given.by))


def _abandon(given: Given, places: Places) -> int:
    found = _find(given.abandon, given, places)
    if found.finished_at is not None:
        return _tell_ended(given, found, "abandoned")
    with session(places.databases[found.service]) as connection:
        _take(connection, found)
        jobs.abandon(connection, found, given.reason, given.by)
        _put(given, [_job_line(job) for job in [jobs.read(found.service, connection, found.id)] if job])
    return DONE


def _find(job: str, given: Given, places: Places) -> Job:
    job_id = jobs.identifier(job)
    found, failures = jobs.find(places, places.chosen(given.service), job_id)
    if found is not None:
        return found
    for service, why in failures.items():
        raise DependencyDown(f"database {service}: {why}")
    raise UsageError(f"no job {job_id} in {', '.join(places.databases)}; outbox jobs lists them")


def _take(connection: psycopg.Connection, job: Job) -> None:
    try:
        jobs.take(connection, job.id)
    except jobs.Taken as error:
        raise UsageError(str(error)) from None


def _tell_ended(given: Given, job: Job, wanted: jobs.State) -> int:
    screen.tell(f"job {job.id} is {job.state}: {job.sent} of {job.total} events were sent; nothing is changed")
    _put(given, [_job_line(job)])
    return DONE if job.state == wanted else MISMATCH


class _Resumption(NamedTuple):
    rate: int | None
    by: str


def _send(given: Given, places: Places, made: Sequence[Job], resumption: _Resumption | None = None) -> int:
    """Send jobs one after the other; whatever stops one, say how to go on with it and those behind it."""
    ended: list[Job] = []
    trouble: str | None = None
    with _stoppable() as stop:
        for job in made:
            try:
                ended.append(_send_one(places, job, stop, resumption))
            except (BrokerTrouble, DependencyDown, psycopg.Error) as error:
                trouble = _why(places, job, error)
                break
            if stop.told:
                break
    _put(given, [_job_line(job) for job in ended])
    done = {job.id for job in ended if job.state == "done"}
    left = [str(job.id) for job in made if job.id not in done]
    how = "; ".join(f"outbox replay --resume {job_id}" for job_id in left)
    if trouble and not stop.told:
        raise DependencyDown(f"{trouble}; go on with: {how}")
    if left:
        screen.tell(f"stopped; go on with: {how}")
    return INTERRUPTED if left else DONE


def _send_one(places: Places, job: Job, stop: _Stop, resumption: _Resumption | None) -> Job:
    types = {event_type for types in job.chosen["topics"].values() for event_type in types}
    memories, failures = memory.ask_inboxes(places, types, job.to_consumer, reprocess=job.reprocess)
    for service, why in failures.items():
        raise DependencyDown(f"database {service}: {why}; its inbox must say how far back it remembers")
    with session(places.databases[job.service]) as connection, screen.progress(f"events of {job.service}") as progress:
        try:
            jobs.take(connection, job.id)
            if resumption:
                jobs.resume(connection, job, resumption.rate, resumption.by)
            return Sending(connection, job, places.broker, memories, lambda: stop.told).run(progress)
        except jobs.Taken as error:
            raise UsageError(str(error)) from None


def _why(places: Places, job: Job, error: Exception) -> str:
    if isinstance(error, psycopg.Error):
        return f"database {job.service}: {one_line(error)}"
    return f"Kafka at {places.kafka}: {error}" if isinstance(error, BrokerTrouble) else str(error)


def _jobs(given: Given, places: Places) -> int:
    answers, failures = ask(
        places, places.chosen(given.service), lambda name, open_: jobs.newest(name, open_, given.limit)
    )
    found = sorted((job for ones in answers.values() for job in ones), key=lambda job: job.created_at)
    if given.json:
        screen.put_json(job.shown() for job in found)
    else:
        screen.put_table([_job_line(job) for job in found])
    return code_of(answers, failures)


def _job_line(job: Job) -> dict[str, Any]:
    return {
        "job": str(job.id),
        "service": job.service,
        "state": job.state,
        "sent": job.sent,
        "total": job.total,
        "goes": f"to {job.to_consumer or 'all'}",
        "rate": job.rate,
        "by": job.created_by,
        "reason": job.reason,
        "created_at": job.created_at,
    }


def _put(given: Given, lines: Collection[Mapping[str, Any]]) -> None:
    (screen.put_json if given.json else screen.put_table)(list(lines))


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
    ended.add_argument("--resume", metavar="JOB", help="go on with a job that was stopped; outbox jobs lists them")
    ended.add_argument("--abandon", metavar="JOB", help="give such a job up; what it has sent stays sent")
    add_record(parser, required=False)
    parser.set_defaults(event=None, reason=None)


def _jobs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=count, default=20, help="jobs a service, the newest (default 20)")


REPLAY: Final = Verb(
    _replay,
    "Send published events again: without --execute, say what would go where. Services drop what they have; "
    "a job that stops is resumed without a hole.",
    "outbox replay --service order --type OrderPlaced --since 2h --execute --reason 'the broker lost its tail'",
    _replay_arguments,
)
JOBS: Final = Verb(_jobs, "List replays: how far they are, whose, and why.", "outbox jobs", _jobs_arguments)
