"""The verbs that tell of rows: `capture`, `backfill`, `run`."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from threading import Event as Flag
from typing import Any, Final

from waybill.migrate.command.owning import Completing
from waybill.migrate.command.parsing import MOST_KEYS, Verbs, batch, count, positive
from waybill.migrate.command.project import DONE, FOUND, INTERRUPTED, Project, rows

POLL_SECONDS: Final = 0.2


def add(verbs: Verbs) -> None:
    """Add the verbs."""
    capturing = verbs.add("capture", _capture, "Turn the triggers on or off that queue the key of what changes.")
    capturing.add_argument("state", choices=["on", "off"])
    filling = verbs.add("backfill", _backfill, "Queue the key of every row; resumed where it was killed.")
    filling.add_argument("--rate", type=positive, metavar="N", help="keys a second at most")
    filling.add_argument("--queue", type=count, default=20_000, metavar="N", help="wait while so many keys wait")
    filling.add_argument("--outbox", type=count, default=50_000, metavar="N", help="wait while so many events wait")
    filling.add_argument("--lag-seconds", type=positive, default=10.0, help="wait while a standby is behind")
    running = verbs.add("run", _append, "Read queued aggregates and append their events, until SIGTERM or SIGINT.")
    running.add_argument("--batch", type=batch, default=500, metavar="N", help=f"keys a transaction, up to {MOST_KEYS}")
    running.add_argument("--until-empty", action="store_true", help="end once the queue is empty")


def _capture(project: Project) -> int:
    from waybill.migrate import capture, screen

    is_on = project.given.state == "on"
    if is_on:
        for aggregate in project.chosen:
            project.built(aggregate)  # refuses what plan has findings of: no row of it could be told
    for aggregate in project.chosen:
        (capture.turn_on if is_on else capture.turn_off)(aggregate, project.using)
        text = f"{aggregate.name}: capture is {'on' if is_on else 'off'}"
        screen.put({"kind": "capture", "aggregate": aggregate.name, "on": is_on}, text, as_json=project.given.json)
    return DONE


def _backfill(project: Project) -> int:
    from waybill.migrate import backfill, screen
    from waybill.runtime.signals import stop_requested

    given, stopping = project.given, stop_requested()
    limits = backfill.Limits(
        keys_a_second=given.rate, queue=given.queue, outbox=given.outbox, lag_seconds=given.lag_seconds
    )
    for aggregate in project.chosen:
        built = project.built(aggregate)
        expected, progress = rows(project, aggregate.table), screen.Progress(f"{aggregate.name}: keys queued")
        queued = 0

        def told(done: int, waits_for: str, progress: Any = progress, expected: int = expected) -> None:
            nonlocal queued
            queued = done
            progress(done, expected, waits_for)

        is_done = backfill.run(built, project.using, limits, is_stopping=stopping.is_set, told=told)
        progress.end()
        said = {"kind": "backfill", "aggregate": aggregate.name, "queued": queued, "finished": is_done}
        text = f"{aggregate.name}: {queued} keys queued, {'finished' if is_done else 'to be resumed'}"
        screen.put(said, text, as_json=given.json)
        if not is_done:
            return INTERRUPTED
    return DONE


def _append(project: Project) -> int:
    from waybill.migrate import appending, screen
    from waybill.runtime.signals import stop_requested

    stopping = stop_requested()
    mapped = {aggregate.name: project.built(aggregate) for aggregate in project.chosen}
    appending.try_held_again(list(mapped), project.using)
    total, completing = appending.Done(), Completing(project, mapped)

    def work() -> appending.Done:
        completing.look()
        return appending.drain_once(mapped, project.using, batch=project.given.batch)

    while not stopping.is_set():
        done = _patiently(work, stopping)
        if done is None:
            break
        total.add(done)
        if done.taken == 0 and project.given.until_empty:
            break
        if done.taken == 0:
            stopping.wait(POLL_SECONDS)
    said = {"kind": "run", **asdict(total)}
    text = ", ".join(f"{count} {name}" for name, count in asdict(total).items())
    screen.put(said, text, as_json=project.given.json)
    return FOUND if total.held else DONE


def _patiently(work: Callable[[], Any], stopping: Flag) -> Any:
    """Do it again with backoff while the database is away; None where it is told to stop meanwhile."""
    from django.db import DatabaseError, InterfaceError, connections

    from waybill.database.sqlstate import may_succeed_later, one_line
    from waybill.migrate import screen

    pause = 0.2
    while not stopping.is_set():
        try:
            return work()
        except (DatabaseError, InterfaceError) as error:
            if not may_succeed_later(error):
                raise
            screen.tell(f"retried in {pause:.1f} seconds: {one_line(error)}")
            with suppress(DatabaseError, InterfaceError):
                connections.close_all()
            stopping.wait(pause)
            pause = min(10.0, pause * 2)
    return None
