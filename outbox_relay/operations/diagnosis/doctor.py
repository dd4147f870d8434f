"""What is wrong now, over all services, in the sequence in which an operator mends it.

Each finding names its next command and its entry of the runbook. Nothing is asked here that another operation does not
ask: this puts together what `status`, `attention`, `dead-letters`, `jobs`, `tasks`, the consumer groups and the waiting
sagas say. A database that does not answer is a finding, of the kind that its error is, and costs its own answers alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final, NamedTuple

import psycopg

from outbox_relay.databases import short_name
from outbox_relay.operations import attention, reactions, status
from outbox_relay.operations.attention import Marked
from outbox_relay.operations.dead_letters import groups as letters
from outbox_relay.operations.dead_letters.groups import Group
from outbox_relay.operations.diagnosis import unanswered
from outbox_relay.operations.diagnosis.finding import Finding, Problem, finding
from outbox_relay.operations.replay import jobs
from outbox_relay.operations.replay.jobs import Job
from outbox_relay.operations.sagas import usual, waiting
from outbox_relay.operations.sagas.causes import Cause
from outbox_relay.operations.sagas.usual import Usual
from outbox_relay.operations.status import READ_ONLY, ProgramState, Status
from outbox_relay.operations.tasks import due
from outbox_relay.operations.tasks.due import TaskState
from outbox_relay.operations.topics import groups
from outbox_relay.operations.topology import DependencyDown
from waybill.consumer.gap import summary as gaps_summary
from waybill.database.sqlstate import one_line
from waybill.sagas.saga import Saga, short

USUAL: Final = timedelta(minutes=1)  # in which an event arrives where nothing is wrong
LATE_SECONDS: Final = 5.0  # an event that is unpublished for longer stands
TASK_LATE_SECONDS: Final = 120.0  # as the alert DueTasksStuck
NEWEST_JOBS: Final = 1_000
MOST_WAITING: Final = 1_000  # sagas that are counted
REASON: Final = "--reason '…'"


class Answers(NamedTuple):
    """What one service's database says."""

    status: Status
    marked: Sequence[Marked]
    dead: Sequence[Group]
    tasks: Sequence[TaskState]
    stopped: Sequence[Job]
    topics: Sequence[str]
    now: datetime


def findings(
    connections: Mapping[str, psycopg.Connection],
    away: Mapping[str, str],
    kafka: Mapping[str, str] | None = None,
    saga: Saga | None = None,
    usual_time: timedelta | None = None,
) -> list[Finding]:
    """Return what is wrong, most urgent first; nothing where all is well.

    `connections`: short name of a service → its connection; `away`: why there is none. Without `kafka`, a client's
    options, consumers' lags are not asked; without a saga, nor which wait. `usual_time`: how long an event may take to
    arrive, and a saga to leave a step; None: what was measured for the steps, and a minute. Blocks up to 10 s a topic
    where the broker hangs.
    """
    gone, answers = dict(away), dict[str, Answers]()
    found = [unanswered.away(service, why) for service, why in away.items()]
    for service, connection in connections.items():
        try:
            answers[service] = _ask(service, connection)
        except psycopg.Error as error:
            gone[service] = one_line(error)
            found.append(unanswered.failed(service, connection, error))
    for service, one in answers.items():
        found += [*_of_database(service, one), *_of_programs(service, one), *_of_letters(one), *_of_tasks(one)]
    found += _of_broker(answers)
    if kafka is not None and not any(one.problem is Problem.BROKER_AWAY for one in found):
        found += _of_groups(answers, kafka, saga, USUAL if usual_time is None else usual_time)
    if saga is not None:
        found += _of_sagas(saga, connections, gone, usual_time)
    return sorted(found, key=lambda one: (one.urgency, one.service or "", one.says))


def _ask(service: str, connection: psycopg.Connection) -> Answers:
    newest = jobs.newest(service, connection, NEWEST_JOBS)
    try:
        topics = reactions.recorded(service, connection).topics
    except psycopg.OperationalError:
        if connection.closed:
            raise
        topics = []  # it has not recorded what it reacts to
    (now,) = connection.execute("SELECT clock_timestamp()").fetchone() or (datetime.now().astimezone(),)
    return Answers(
        status.read_status(service, connection),
        attention.read_attention(service, connection),
        letters.read(service, connection),
        due.failing(service, connection, TASK_LATE_SECONDS),
        [job for job in newest if job.state == "stopped"],
        topics,
        now,
    )


def _of_database(service: str, one: Answers) -> Iterator[Finding]:
    ask, state = f"outbox status --service {service}", one.status
    if not state.takes_writes:
        yield finding(Problem.DATABASE_READ_ONLY, service, READ_ONLY, None, 1, ask)
    if state.no_relay:
        said = f"{state.no_relay}: {state.relay_login}"
        yield finding(Problem.NO_RELAY, service, said, _ago(one, state.heartbeat_seconds), 1, ask)
    if state.paused:
        resume = f"outbox resume --service {service} {REASON}"
        yield finding(Problem.RELAY_PAUSED, service, state.paused, state.paused_since, state.unpublished, resume)
    if state.missing_records:
        gaps, group = state.missing_records, state.group or service
        first = min(gap.found_at for gap in gaps)
        yield finding(
            Problem.RECORDS_MISSING, service, gaps_summary(gaps, group), first, len(gaps), gaps[0].remedy(group)
        )
    late = state.oldest_seconds is not None and state.oldest_seconds > LATE_SECONDS
    if late and not (state.paused or state.no_relay):
        said = f"the oldest of {state.unpublished} events has waited for {state.oldest_seconds:.0f} s"
        yield finding(Problem.EVENTS_LATE, service, said, _ago(one, state.oldest_seconds), state.unpublished, ask)
    for job in one.stopped:
        said = f"job {job.id} has sent {job.sent} of {job.total} events"
        yield finding(
            Problem.REPLAY_STOPPED,
            service,
            said,
            job.updated_at,
            job.total - job.sent,
            f"outbox replay --resume {job.id}",
        )


def _of_programs(service: str, one: Answers) -> Iterator[Finding]:
    ask, state = f"outbox status --service {service}", one.status
    for program in state.programs:
        if program.fault is None or (state.no_relay and program.program == "relay"):
            continue
        if program.silent:
            since = _ago(one, program.heartbeat_seconds)
            yield finding(Problem.PROGRAM_SILENT, service, program.fault, since, 1, ask)
        elif not _of_the_broker(program) and not (state.paused and program.program == "relay"):
            yield finding(Problem.PROGRAM_WAITS, service, program.fault, _ago(one, program.state_seconds), 1, ask)


def _of_broker(answers: Mapping[str, Answers]) -> Iterator[Finding]:
    waits = [
        (service, program, _ago(one, program.state_seconds))
        for service, one in answers.items()
        for program in one.status.programs
        if _of_the_broker(program) and not program.silent
    ]
    if waits:
        programs = ", ".join(f"{program.program} of {service}" for service, program, _ in waits)
        since = min(at for _, _, at in waits if at)
        said = f"{waits[0][1].reason}; so say {programs}"
        yield finding(Problem.BROKER_AWAY, None, said, since, len(waits), "outbox status")


def _of_the_broker(program: ProgramState) -> bool:
    return (program.reason or "").startswith("broker")


def _of_letters(one: Answers) -> Iterator[Finding]:
    for kind, found in groupby(sorted(one.dead, key=lambda group: group.kind), key=lambda group: group.kind):
        ones = sorted(found, key=lambda group: -group.letters)
        first, service = ones[0], ones[0].service
        failed, behind = sum(group.letters for group in ones), sum(group.behind for group in ones)
        most = f"{first.reason_class} of {short(first.event_type)}" if first.event_type else first.reason_class
        said = f"{failed} failed, {behind} wait behind them; most often: {most}"
        problem = Problem.PUBLICATIONS_REFUSED if kind == "publication" else Problem.DEAD_LETTERS
        next_ = f"outbox dead-letters --service {service} --{kind}s --groups"
        yield finding(problem, service, said, min(group.oldest for group in ones), failed + behind, next_)


def _of_tasks(one: Answers) -> Iterator[Finding]:
    for task, marked in groupby(sorted(one.marked, key=lambda row: row.task), key=lambda row: row.task):
        rows = list(marked)
        first = min(rows, key=lambda row: row.since)
        said = f"{task}: {first.reason}; {first.remediation}"
        ask = f"outbox attention --service {first.service}"
        yield finding(Problem.ATTENTION, first.service, said, first.since, len(rows), ask)
    for state in one.tasks:
        ask = f"outbox tasks --service {state.service} --task {state.task}"
        if state.failing:
            said = f"{state.task} is tried again by itself: {state.error}"
            yield finding(Problem.TASKS_FAILING, state.service, said, state.since, state.failing, f"{ask} --failing")
        if state.late:
            said = f"{state.task}: nobody attempts it"
            yield finding(Problem.TASKS_LATE, state.service, said, state.since, state.late, ask)


def _of_groups(
    answers: Mapping[str, Answers],
    kafka: Mapping[str, str],
    saga: Saga | None,
    usual_time: timedelta,
) -> Iterator[Finding]:
    """Yield which of our consumers are behind, in seconds, by the broker."""
    copies = {(short_name(one.service), one.topic): one.copy for one in saga.copies} if saga else {}
    reader = {said.status.group: one for one, said in answers.items() if said.topics and said.status.group}
    try:
        for topic in sorted({topic for said in answers.values() for topic in said.topics}):
            for reading in groups.read(kafka, topic):
                service = reader.get(reading.group)
                if service is None or reading.since is None:
                    continue
                seconds = (answers[service].now - reading.since).total_seconds()
                if seconds < usual_time.total_seconds():
                    continue
                copy = copies.get((service, topic))
                said = f"{reading}; the oldest was written {seconds:.0f} s ago"
                problem = Problem.COPY_BEHIND if copy else Problem.CONSUMER_BEHIND
                yield finding(
                    problem,
                    service,
                    f"{copy}: {said}" if copy else f"{topic}: {said}",
                    reading.since,
                    sum(reading.left.values()),
                    f"outbox status --service {service}",
                )
    except DependencyDown as error:
        yield finding(Problem.BROKER_AWAY, None, str(error), None, 1, "outbox status")


def _of_sagas(
    saga: Saga, connections: Mapping[str, psycopg.Connection], away: Mapping[str, str], given: timedelta | None
) -> Iterator[Finding]:
    """Yield how many sagas wait for longer than usual, by what keeps them, where and for which answer."""
    own = short_name(saga.own.service)
    if own not in connections or own in away:
        return
    causes = [cause for cause in Cause if cause is not Cause.ON_ITS_WAY]
    try:
        limits = Usual(given) if given is not None else usual.read(saga, connections[own])
        choice = waiting.Choice(older_than=limits.shortest(saga.own.open), causes=causes)
        page = waiting.waiting(saga, connections, away, choice, limit=MOST_WAITING)
    except psycopg.Error as error:
        yield unanswered.failed(own, connections[own], error)
        return
    late = [one for one in page.waiting if one.age_seconds >= limits.of(one.status).total_seconds()]

    def kept_by(one: waiting.Waiting) -> tuple[Cause, str, str]:
        return one.why.cause, one.why.service, " or ".join(one.why.answers)

    for (cause, service, answers), rows in groupby(sorted(late, key=kept_by), key=kept_by):
        ones = list(rows)
        first = min(ones, key=lambda one: one.since)
        more = ", or more" if page.after else ""
        said = (
            f"{len(ones)}{more} wait for {answers}: {cause} at {service}; the oldest, {first.key}: {first.why.says}; "
            f"{limits.says(first.status)}"
        )
        next_ = f"outbox {saga.aggregate}s --waiting --why '{cause}' --at {service}"
        yield finding(Problem.SAGAS_WAIT, service, said, first.since, len(ones), next_)


def _ago(one: Answers, seconds: float | None) -> datetime | None:
    return None if seconds is None else one.now - timedelta(seconds=seconds)
