"""`python -m waybill migrate VERB`: how a project's rows come to a service, step by step.

In the project's folder, with its DJANGO_SETTINGS_MODULE.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Event as Flag
from typing import Any, Final

DONE, FOUND, USAGE, DEPENDENCY_DOWN, INTERRUPTED = 0, 1, 2, 4, 130
EXITS: Final = "exit codes: 0 done, 1 something found or held, 2 usage, 4 dependency down, 130 interrupted"
POLL_SECONDS: Final = 0.2
MOST_KEYS: Final = 1_000  # of a transaction: each takes two places in the table of locks that all sessions share


def main(arguments: Sequence[str]) -> int:
    """Run a verb and return its exit code; raises SystemExit(2) on unknown arguments."""
    given = _parser().parse_args(arguments)
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        return _refused("DJANGO_SETTINGS_MODULE names no settings: set it to those of the project")
    import django

    django.setup()
    return _run(given)


def _run(given: argparse.Namespace) -> int:
    from django.db import DatabaseError, InterfaceError
    from psycopg import OperationalError

    from waybill.application import ApplicationUnknown
    from waybill.contracts.fields import ContractError
    from waybill.database.sqlstate import may_succeed_later, one_line
    from waybill.migrate.backfill import CaptureIsOff
    from waybill.migrate.capture import NotMigrated
    from waybill.migrate.mapping.document import MappingError
    from waybill.outbox import AppendRefused

    refusals = (MappingError, NotMigrated, CaptureIsOff, AppendRefused, ApplicationUnknown, ContractError)
    try:
        return given.run(_Project(given))
    except refusals as error:
        return _refused(str(error))
    except (DatabaseError, InterfaceError, OperationalError) as error:
        _refused(one_line(error))
        return DEPENDENCY_DOWN if may_succeed_later(error) else USAGE
    except KeyboardInterrupt:
        return INTERRUPTED


class _Project:
    """What the verbs need: the mapping, the database, what was asked for."""

    def __init__(self, given: argparse.Namespace) -> None:
        """Read the mapping file. Raises MappingError."""
        from django.db import router

        from waybill.migrate.mapping import document
        from waybill.outbox.models import OutboxEvent

        self.given, self.using = given, router.db_for_write(OutboxEvent)
        self.mapped = document.load(Path(given.mapping))
        unknown = sorted(set(given.aggregate) - self.mapped.aggregates.keys())
        if unknown:
            raise document.MappingError(f"{given.mapping}: there is no [aggregates.{unknown[0]}]")
        self.chosen = [self.mapped.aggregates[name] for name in given.aggregate or self.mapped.aggregates]

    def built(self, aggregate: Any) -> Any:
        """Return what reads one kind of aggregate. Raises MappingError."""
        from django.db import connections

        from waybill.migrate.mapping.building import build

        with connections[self.using].cursor() as cursor:
            return build(aggregate, self.mapped.namespace, cursor)


def _plan(project: _Project) -> int:
    from waybill.migrate import plan, screen

    found = False
    for aggregate in project.chosen:
        progress = screen.Progress(f"{aggregate.name}: rows read")
        made = plan.plan(aggregate, project.mapped.namespace, project.using, progress)
        progress.end()
        found = found or bool(made.findings)
        screen.put_plan(made, as_json=project.given.json)
    return FOUND if found else DONE


def _capture(project: _Project) -> int:
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


def _backfill(project: _Project) -> int:
    from waybill.migrate import backfill, screen, tables
    from waybill.runtime.signals import stop_requested

    given, stopping = project.given, stop_requested()
    limits = backfill.Limits(
        keys_a_second=given.rate, queue=given.queue, outbox=given.outbox, lag_seconds=given.lag_seconds
    )
    for aggregate in project.chosen:
        built = project.built(aggregate)
        rows, progress = _rows(project, aggregate.table, tables), screen.Progress(f"{aggregate.name}: keys queued")
        queued = 0

        def told(done: int, waits_for: str, progress: Any = progress, rows: int = rows) -> None:
            nonlocal queued
            queued = done
            progress(done, rows, waits_for)

        is_done = backfill.run(built, project.using, limits, is_stopping=stopping.is_set, told=told)
        progress.end()
        said = {"kind": "backfill", "aggregate": aggregate.name, "queued": queued, "finished": is_done}
        text = f"{aggregate.name}: {queued} keys queued, {'finished' if is_done else 'to be resumed'}"
        screen.put(said, text, as_json=given.json)
        if not is_done:
            return INTERRUPTED
    return DONE


def _rows(project: _Project, name: str, tables: Any) -> int:
    from django.db import connections

    with connections[project.using].cursor() as cursor:
        table = tables.read(cursor, name)
    return max(0, table.rows) if table else 0


def _append(project: _Project) -> int:
    from waybill.migrate import appending, screen
    from waybill.runtime.signals import stop_requested

    stopping = stop_requested()
    mapped = {aggregate.name: project.built(aggregate) for aggregate in project.chosen}
    appending.try_held_again(list(mapped), project.using)
    total = appending.Done()
    while not stopping.is_set():
        done = _patiently(lambda: appending.drain_once(mapped, project.using, batch=project.given.batch), stopping)
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


def _verify(project: _Project) -> int:
    from waybill.migrate import screen, tables, verify
    from waybill.migrate.mapping.document import MappingError

    found = False
    for aggregate in project.chosen:
        service = aggregate.service
        if service is None:
            raise MappingError(f"{aggregate.name}: nothing says where it must have arrived: [aggregates.….service]")
        url = os.environ.get(service.url)
        if not url:
            raise MappingError(f"{aggregate.name}: {service.url} is not set: the URL of the service's database")
        progress = screen.Progress(f"{aggregate.name}: rows compared")
        rows = _rows(project, aggregate.table, tables)
        with verify.connected(url) as there:
            sides = verify.Sides(project.built(aggregate), project.using, there)
            verified = verify.verify(sides, settle_seconds=project.given.settle_seconds, told=progress, expected=rows)
        progress.end()
        found = found or bool(verified.differences)
        screen.put_verified(verified, as_json=project.given.json)
    return FOUND if found else DONE


def _status(project: _Project) -> int:
    from waybill.migrate import screen, status

    is_well = True
    for aggregate in project.chosen:
        one = status.status(aggregate, project.using)
        is_well = is_well and one.is_well
        screen.put_status(one, as_json=project.given.json)
    return DONE if is_well else FOUND


def _refused(text: str) -> int:
    from waybill.migrate import screen

    screen.tell(text)
    return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m waybill migrate", description=__doc__, epilog=EXITS)
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: Callable[[_Project], int], text: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text, epilog=EXITS)
        made.set_defaults(run=run)
        made.add_argument("--mapping", default="migrate.toml", help="the mapping file (default: %(default)s)")
        made.add_argument("--aggregate", action="append", default=[], metavar="NAME", help="only this; repeatable")
        made.add_argument("--json", action="store_true", help="print JSON lines")
        return made

    verb(
        "plan", _plan, "List what cannot be mapped, by table and column, and the rows that are refused. Writes nothing."
    )
    capturing = verb("capture", _capture, "Turn the triggers on or off that queue the key of what changes.")
    capturing.add_argument("state", choices=["on", "off"])
    filling = verb("backfill", _backfill, "Queue the key of every row; resumed where it was killed.")
    filling.add_argument("--rate", type=_positive, metavar="N", help="keys a second at most")
    filling.add_argument("--queue", type=_count, default=20_000, metavar="N", help="wait while so many keys wait")
    filling.add_argument("--outbox", type=_count, default=50_000, metavar="N", help="wait while so many events wait")
    filling.add_argument("--lag-seconds", type=_positive, default=10.0, help="wait while a standby is behind")
    running = verb("run", _append, "Read queued aggregates and append their events, until SIGTERM or SIGINT.")
    running.add_argument(
        "--batch", type=_batch, default=500, metavar="N", help=f"keys a transaction, up to {MOST_KEYS}"
    )
    running.add_argument("--until-empty", action="store_true", help="end once the queue is empty")
    checking = verb("verify", _verify, "Compare the mapped rows with those of the service.")
    checking.add_argument("--settle-seconds", type=_seconds, default=30.0, help="how long a difference may last")
    verb("status", _status, "Show capture, queue, backfill, and the keys that are held.")
    return parser


def _count(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return int(text)


def _batch(text: str) -> int:
    if not 1 <= int(text) <= MOST_KEYS:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {MOST_KEYS}")
    return int(text)


def _seconds(text: str) -> float:
    return 0.0 if float(text) == 0 else _positive(text)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value
