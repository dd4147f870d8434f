"""Due rows in, commands out: the entry point that does what is due later, and the only one that calls other systems.

A worker claims due rows, loads the states they are about in one SELECT, and makes the attempts in threads with no
transaction open, so that a slow provider holds no lock and stops nobody. Each task has threads of its own: where one
kind of call hangs, the others go on. What comes of the attempts is handled in batches: the commands and the removal of
their due rows commit together. After a look that left nothing due behind, the next is made once a wake-up signal has
come or `worker_poll_seconds` are over, and not after each attempt.
"""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from threading import Event as Flag
from typing import Any

import structlog
from django.db import connection

from waybill.contracts.event import Event
from waybill.database import rows
from waybill.database.sqlstate import ErrorClass, classify, may_succeed_later, one_line
from waybill.deciders import unit_of_work
from waybill.deciders.outcomes import NeedsAttention, Unavailable
from waybill.deciders.service import Command, Service, Task
from waybill.deciders.unit_of_work import Caused
from waybill.observability import metrics
from waybill.runtime import failpoint, outside, watchdog
from waybill.runtime.condition import Condition
from waybill.runtime.settings import Settings
from waybill.runtime.threads import Threads
from waybill.runtime.wake_up import WakeUpSignal
from waybill.tasks import deadlines
from waybill.tasks.deadlines import CannotBegin, Claimed
from waybill.tracing import spans

log: structlog.stdlib.BoundLogger = structlog.get_logger()
TOGETHER_SECONDS = 0.1  # what a quick answer waits for those begun with it, at most
STOP_SECONDS = 8.0  # what is not recorded by then is due again after its lease
Done = Sequence[tuple[Claimed, Command | None]]
DEFECT_ATTEMPTS = 10  # a row that fails by a defect for the tenth time needs attention
FIX_THE_ERROR = "fix what the error names; the task is retried by itself"


def work(service: Service, settings: Settings, stop: Flag, condition: Condition) -> None:
    """Do what is due until `stop` is set; attempts under way are finished first, for STOP_SECONDS at most.

    `condition` is told what keeps the worker from it.
    """
    log.info("working", tasks=sorted(service.tasks))
    most = max(1, settings.worker_threads * len(service.tasks))
    with WakeUpSignal(settings.worker_wake_up) as wake_up, Threads(most, "attempt") as threads:
        worker = Worker(service, settings, threads)
        stop_by, look_at = float("inf"), 0.0
        while not stop.is_set() or (worker.busy and time.monotonic() < stop_by):
            watchdog.alive()
            if stop.is_set():
                stop_by = min(stop_by, time.monotonic() + STOP_SECONDS)
            try:
                if not stop.is_set() and time.monotonic() >= look_at:
                    more = worker.start()
                    look_at = 0.0 if more else time.monotonic() + settings.worker_poll_seconds
                under_way = worker.settle()
                signalled = wake_up.wait(0.0 if under_way else look_at - time.monotonic())
                if signalled or not wake_up.works:
                    look_at = 0.0
                condition.recovered("database")
            except Exception as error:
                if not may_succeed_later(error):
                    raise
                operator_needed = classify(error) is ErrorClass.ENVIRONMENT
                condition.fails("database", one_line(error), operator_needed=operator_needed)
                connection.close()
                time.sleep(settings.retry_seconds)
        if worker.busy:
            log.warning("attempts left behind", keys=worker.keys, seconds=STOP_SECONDS)
    connection.close()


@dataclass
class Worker:
    """Attempts under way, and answers that are not recorded yet: kept until the database has them."""

    service: Service
    settings: Settings
    threads: Threads
    under_way: dict[Future[Command | None], Claimed] = field(default_factory=dict[Future[Command | None], Claimed])
    answered: list[tuple[Claimed, Future[Command | None]]] = field(
        default_factory=list[tuple[Claimed, Future[Command | None]]]
    )
    begun: list[Future[Command | None]] = field(default_factory=list[Future[Command | None]])  # and not yet waited for

    @property
    def busy(self) -> bool:
        """Tell whether anything was started and is not recorded."""
        return bool(self.under_way or self.answered)

    @property
    def keys(self) -> list[str]:
        """Return the aggregates that something was started for and is not recorded."""
        claimed = [*self.under_way.values(), *(one for one, _ in self.answered)]
        return sorted({one.key for one in claimed})

    def start(self) -> bool:
        """Claim as many due rows of each task as it has free threads, and attempt them; say whether more may be due."""
        busy = Counter(claimed.task for claimed in self.under_way.values())
        capacity = {task: self.settings.worker_threads - busy[task] for task in self.service.tasks}
        if not any(capacity.values()):
            return bool(capacity)
        claimed = deadlines.claim(
            capacity, lease_seconds=self.settings.worker_lease_seconds, retry_seconds=self.settings.retry_seconds
        )
        for aggregate_type in sorted({c.aggregate_type for c in claimed}):
            mine = [c for c in claimed if c.aggregate_type == aggregate_type]
            loaded = rows.load(self.service.tables[aggregate_type], {c.key for c in mine}, lock=False)
            found = {str(row.pk): row for row in loaded}
            for c in mine:
                traced, span = _begin_span(c)
                attempt = self.threads.submit(_attempt, self.service, found.get(c.key), traced, span, self.settings)
                self.under_way[attempt] = traced
                self.begun.append(attempt)
        taken = Counter(c.task for c in claimed)
        return any(taken[task] == free for task, free in capacity.items())

    def settle(self) -> bool:
        """Wait for answers, TOGETHER_SECONDS at most, and record them; returns whether anything was under way.

        It waits for all attempts that the last `start` began and not for the first answer, since one transaction for
        sixteen quick answers costs little more than for one. It never waits for those that began earlier and hang.
        """
        if not self.busy:
            return False
        begun, self.begun = self.begun, []
        if begun:
            wait(begun, TOGETHER_SECONDS)
        else:
            wait(self.under_way, TOGETHER_SECONDS, return_when=FIRST_COMPLETED)
        finished = [future for future in self.under_way if future.done()]
        self.answered += [(self.under_way.pop(future), future) for future in finished]
        done = [(claimed, future.result()) for claimed, future in self.answered if not future.exception()]
        refused = _record(self.service, done)
        failed = [(claimed, error) for claimed, future in self.answered if (error := future.exception())]
        for claimed, error in [*failed, *refused]:
            _failed(self.service.tasks[claimed.task], claimed, error, self.settings)
        self.answered.clear()
        return True


def _begin_span(claimed: Claimed) -> tuple[Claimed, spans.Span | None]:
    """Begin the span of an attempt, and let what comes of it follow from that."""
    span = spans.begin(
        f"attempt {claimed.task}",
        "consumer",
        parent=claimed.cause.traceparent or "",
        attributes={
            "waybill.task": claimed.task,
            "waybill.attempts": claimed.attempts,
            "waybill.aggregate_id": claimed.key,
            "waybill.correlation_id": claimed.cause.correlation_id,
        },
    )
    if span is None:
        return claimed, None
    return replace(claimed, cause=replace(claimed.cause, traceparent=spans.traceparent_of(span))), span


def _attempt(
    service: Service, row: Any, claimed: Claimed, span: spans.Span | None, settings: Settings
) -> Command | None:
    with spans.opened(span):
        return _make_attempt(service, row, claimed, settings)


def _make_attempt(service: Service, row: Any, claimed: Claimed, settings: Settings) -> Command | None:
    task = service.tasks[claimed.task]
    attempt = task.on_replay if claimed.cause.replay_id else task.attempt
    started = time.monotonic()
    try:
        state, event = _begin(service, row, claimed)
        with outside.within(settings.worker_attempt_seconds):
            answer = attempt(state, event, claimed.tried)
    except Exception as error:
        if classify(error) in {None, ErrorClass.RECORD}:
            raise
        connection.close()  # this thread's own
        raise Unavailable(f"database: {error}") from error
    finally:
        metrics.observe("worker_attempt_seconds", time.monotonic() - started, task=task.name)
    failpoint.reach("worker.answered")
    return answer


def _begin(service: Service, row: Any, claimed: Claimed) -> tuple[Any, Event]:
    if row is None:
        raise CannotBegin(f"{claimed.aggregate_type} {claimed.key} has no row: rebuild it from its events")
    return service.models.to_state({claimed.aggregate_type: {row.pk: row}}), claimed.read()


def _record(service: Service, done: Done) -> list[tuple[Claimed, BaseException]]:
    """Record what came of the attempts, one by one where one of them cannot be recorded; returns those."""
    try:
        _record_together(service, done)
    except Exception as error:
        if may_succeed_later(error):
            raise
        if len(done) == 1:
            return [(done[0][0], error)]
        return [refused for one in done for refused in _record(service, [one])]
    return []


def _record_together(service: Service, done: Done) -> None:
    if not done:
        return
    traces = [str(c.cause.traceparent) for c, _ in done if spans.is_sampled(c.cause.traceparent)]
    commands = [Caused(command, claimed.cause) for claimed, command in done if command]
    with spans.joined(f"record {service.name}", traces, alone=len(done) == 1):
        unit_of_work.handle(service, commands, finished=[claimed.id for claimed, _ in done])
    for claimed, _ in done:
        metrics.inc("worker_attempts_total", task=claimed.task, outcome="done")


def _failed(task: Task, claimed: Claimed, error: BaseException, settings: Settings) -> None:
    """Give the row back: nothing due is ever dropped."""
    outcome = "unavailable" if isinstance(error, Unavailable) else "defect"
    metrics.inc("worker_attempts_total", task=task.name, outcome=outcome)
    late = claimed.asked_seconds - task.delay.total_seconds() >= settings.attention_after.total_seconds()
    attention = (
        isinstance(error, NeedsAttention)
        or (outcome == "defect" and claimed.attempts >= DEFECT_ATTEMPTS)
        or (late and not task.long_retries)
    )
    (log.error if attention or outcome == "defect" else log.warning)(
        "attempt failed",
        task=task.name,
        key=claimed.key,
        event_id=claimed.cause.causation_id,
        correlation_id=claimed.cause.correlation_id,
        attempts=claimed.attempts,
        needs_attention=attention,
        error=repr(error),
        **spans.ids(claimed.cause.traceparent),
    )
    remediation = None
    if attention:
        remediation = FIX_THE_ERROR if isinstance(error, CannotBegin) else task.remediation or FIX_THE_ERROR
    deadlines.put_off(claimed, error, retry_seconds=settings.retry_seconds, remediation=remediation)
