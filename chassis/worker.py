"""Due rows in, commands out: the third door, and the only one that calls the outside.

A worker claims due rows, loads the states they are about in one SELECT, and makes the attempts in threads with no
transaction open, so that a slow provider holds no lock and stops nobody. What comes of them is handled in batches: the
commands and the removal of their due rows commit together.
"""

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event as Flag
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from chassis import deadlines, metrics, unit_of_work
from chassis.deadlines import Claimed
from chassis.outcomes import CommandRefused, Unavailable
from chassis.service import Command, Service, Task
from chassis.settings import Settings
from chassis.unit_of_work import Caused
from schemas.events import Event

log: structlog.stdlib.BoundLogger = structlog.get_logger()
WORLD = (OperationalError, InterfaceError)
LEASE_SECONDS = 30.0  # longer than an attempt takes; one that takes longer may be made twice
LATE_ATTEMPTS = 10  # from here on a row is logged as an error at each attempt: an operator should look


def work(service: Service, settings: Settings, stop: Flag) -> None:
    """Do what is due until `stop` is set; attempts under way are finished first."""
    under_way: dict[Future[Command | None], Claimed] = {}
    log.info("working", tasks=sorted(service.tasks))
    with ThreadPoolExecutor(settings.worker_threads, thread_name_prefix="attempt") as threads:
        while not stop.is_set() or under_way:
            try:
                if not stop.is_set():
                    _start(service, settings, threads, under_way)
                if under_way:
                    finished, _ = wait(under_way, settings.worker_poll_seconds, FIRST_COMPLETED)
                    _settle(service, settings, [(under_way.pop(f), f) for f in finished])
                else:
                    stop.wait(settings.worker_poll_seconds)
            except WORLD as error:
                log.warning("waiting", reason=str(error).strip().splitlines()[0])
                connection.close()
                stop.wait(settings.retry_seconds)


def _start(
    service: Service, settings: Settings, threads: ThreadPoolExecutor, under_way: dict[Future[Command | None], Claimed]
) -> None:
    room = settings.worker_threads - len(under_way)
    if not room:
        return
    claimed = deadlines.claim(room, lease_seconds=LEASE_SECONDS, retry_seconds=settings.retry_seconds)
    for aggregate_type in sorted({c.event.aggregate_type for c in claimed}):
        mine = [c for c in claimed if c.event.aggregate_type == aggregate_type]
        table = service.tables[aggregate_type]
        found = {str(row.pk): row for row in table.objects.filter(pk__in=[c.event.aggregate_id for c in mine])}
        for c in mine:
            row = found[c.event.aggregate_id]
            state = service.models.to_state({aggregate_type: {row.pk: row}})
            under_way[threads.submit(_attempt, service.tasks[c.task], state, c.event)] = c


def _attempt(task: Task, state: Any, event: Event) -> Command | None:
    try:
        return task.attempt(state, event)
    except WORLD as error:
        connection.close()  # this thread's own
        raise Unavailable(f"database: {error}") from error


def _settle(service: Service, settings: Settings, finished: Sequence[tuple[Claimed, Future[Command | None]]]) -> None:
    done: list[tuple[Claimed, Command | None]] = []
    for claimed, future in finished:
        error = future.exception()
        if error is None:
            done.append((claimed, future.result()))
        else:
            _failed(claimed, error, settings)
    if not done:
        return
    try:
        _record(service, done)
    except CommandRefused:
        for one in done:
            try:
                _record(service, [one])
            except CommandRefused as error:
                _failed(one[0], error, settings)


@unit_of_work.retried
def _record(service: Service, done: Sequence[tuple[Claimed, Command | None]]) -> None:
    with transaction.atomic():
        unit_of_work.handle(service, [Caused(command, claimed.cause) for claimed, command in done if command])
        deadlines.finish([claimed for claimed, _ in done])
    for claimed, _ in done:
        metrics.inc("worker_attempts_total", task=claimed.task, outcome="done")


def _failed(claimed: Claimed, error: BaseException, settings: Settings) -> None:
    """Give the row back: nothing due is ever dropped."""
    outcome = "unavailable" if isinstance(error, Unavailable) else "defect"
    metrics.inc("worker_attempts_total", task=claimed.task, outcome=outcome)
    late = outcome == "defect" or claimed.attempts >= LATE_ATTEMPTS
    (log.error if late else log.warning)(
        "attempt failed",
        task=claimed.task,
        key=claimed.event.aggregate_id,
        attempts=claimed.attempts,
        error=repr(error),
    )
    deadlines.put_off(claimed, repr(error), retry_seconds=settings.retry_seconds)
