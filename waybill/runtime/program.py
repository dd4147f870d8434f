"""`python -m waybill SERVICE web|consumer|worker|migrate|rebuild|redrive|settle|…`: start, signals, stop."""

import argparse
import sqlite3
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, LiteralString, NoReturn

import structlog

from waybill.database.side_session import SideSession
from waybill.database.sqlstate import one_line
from waybill.observability.output import json_lines
from waybill.observability.program_state import reported
from waybill.observability.telemetry import configure_logging
from waybill.runtime import reports
from waybill.runtime.condition import Condition
from waybill.runtime.django_settings import Web, configure_django
from waybill.runtime.settings import Environment, Settings, read
from waybill.runtime.signals import stop_requested
from waybill.runtime.watchdog import watched

log: structlog.stdlib.BoundLogger = structlog.get_logger()

PROGRAMS = frozenset({"web", "consumer", "worker"})  # these run on and log; the others are commands
TASK_VERBS = ("settle", "reschedule", "cancel-task")  # of one due task, by an operator

# What the service's role may do. On the outbox it may read and append: no UPDATE, DELETE or TRUNCATE, no right on the
# sequence, and none to choose a position. What operators did and decided may be read and added to.
SERVICE_GRANTS: LiteralString = """
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};
REVOKE ALL ON waybill_outbox, waybill_outbox_cursor, waybill_schema_id, waybill_operator_action,
              waybill_operator_decision, waybill_aggregate_version, waybill_outbox_archive, django_migrations
              FROM {role};
GRANT SELECT, INSERT ON waybill_operator_action, waybill_operator_decision TO {role};
GRANT SELECT ON waybill_outbox, waybill_outbox_cursor, waybill_schema_id, waybill_aggregate_version,
                waybill_outbox_archive, django_migrations TO {role};
GRANT INSERT (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version, payload,
              metadata) ON waybill_outbox TO {role};
"""


def main(argv: list[str]) -> None:
    """Run one program of a service until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m waybill", description=__doc__)
    parser.add_argument("service", help="package of the service, as in `billing_service`")
    parser.add_argument(
        "program", choices=["web", "consumer", "worker", "migrate", "rebuild", "redrive", *TASK_VERBS, "manage"]
    )
    parser.add_argument(
        "rest",
        nargs=argparse.REMAINDER,
        help="for `manage`: a Django management command; for `migrate`: --expand; `rebuild --repair`, "
        "`redrive --only` and what changes a due task read a request from their standard input "
        "(waybill/runtime/reports.py)",
    )
    given = parser.parse_args(argv)
    if not _has_service(given.service):
        parser.error(f"no service {given.service!r}: no package of that name with a module `service` can be imported")
    name = f"{given.service}.{given.program}"
    with json_lines(name) if given.program in PROGRAMS else nullcontext():
        settings = read(Settings)
        configure_logging(name, settings.log_level)
        if given.program in PROGRAMS:
            from waybill.tracing import export

            export.start(name, settings)
        _run(given, settings)


def _has_service(name: str) -> bool:
    try:
        return name.isidentifier() and find_spec(f"{name}.service") is not None
    except ModuleNotFoundError:
        return False


def _run(given: argparse.Namespace, settings: Settings) -> None:
    programs: dict[str, Callable[[str, Settings], None]] = {
        "web": web,
        "consumer": partial(_loop, "consumer"),
        "worker": partial(_loop, "worker"),
        "migrate": partial(migrate, given.rest),
        "rebuild": partial(rebuild, given.rest),
        "redrive": partial(redrive, given.rest),
        **{verb: partial(change_task, verb) for verb in TASK_VERBS},
        "manage": partial(manage, given.rest),
    }
    programs[given.program](given.service, settings)


def load(name: str, settings: Settings, program: str, **session: str) -> Any:
    """Configure Django for a program of the service and return the service's plan; its own settings must be right."""
    configure_django(
        (name,),
        settings.database_url,
        f"{name}.{program}",
        web=_web(settings) if program == "web" else None,
        pooled=settings.database_pooled,
        **session,
    )
    from waybill.tracing import statements

    statements.install()
    for kind in vars(import_module(f"{name}.settings")).values():
        if isinstance(kind, type) and issubclass(kind, Environment):
            read(kind)  # they are read where they are needed: this program shall not find out by then
    return import_module(f"{name}.service").service


def _web(settings: Settings) -> Web:
    return Web(settings.hosts, settings.max_body_bytes)


def _side_session(settings: Settings, program: str) -> SideSession:
    return SideSession(settings.database_url, program, pooled=settings.database_pooled)


def web(name: str, settings: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT, and the health paths on a port of their own."""
    service = load(name, settings, "web")
    from waybill.observability import health
    from waybill.observability.exposure import expose
    from waybill.observability.readiness import Readiness
    from waybill.rest import keys
    from waybill.rest.http import serve_api
    from waybill.rest.serving.gateway import Gateway, Limits
    from waybill.rest.serving.rate_limits import Policy
    from waybill.rest.serving.server import serve

    requests = serve_api(service, import_module(f"{name}.api"))
    if not settings.hosts:
        raise SystemExit("WAYBILL_ALLOWED_HOSTS: in production web needs the names that clients may ask for")
    key_source = keys.source(settings)
    rate = Policy(settings.rate_limit, settings.rate_limit_seconds) if settings.rate_limit else None
    limits = Limits(
        threads=settings.web_threads,
        queue=settings.web_queue,
        queue_seconds=settings.web_queue_seconds,
        body_bytes=settings.max_body_bytes,
        rate=rate,
    )
    gateway = Gateway(settings.hosts, limits)
    session = _side_session(settings, f"{name}.web")
    expose("web", service, session, requests=requests)
    database_ready = Readiness(_side_session(settings, f"{name}.web readiness"))
    ready = lambda: database_ready() or key_source.unready()  # noqa: E731 - as in _loop
    health.serve(settings.host, settings.health_port, ready, variable="WAYBILL_HEALTH_PORT")
    with reported(session, "web", lambda: ("working", None)):
        serve(gateway, settings.host, settings.port, settings.web_handover)
    log.info("stopped")


def _loop(kind: Literal["consumer", "worker"], name: str, settings: Settings) -> None:
    """Run the consumer or the worker, with its health paths, until SIGTERM or SIGINT."""
    stop = stop_requested()
    service = load(name, settings, kind)
    from waybill.consumer import loop
    from waybill.deciders.service import Service
    from waybill.observability import health
    from waybill.observability.exposure import expose, expose_consumer
    from waybill.observability.readiness import Readiness
    from waybill.tasks import worker

    condition = Condition()
    session = _side_session(settings, f"{name}.{kind}")
    if isinstance(service, Service):
        expose(kind, service, session, condition)
    else:
        expose_consumer(service, session, condition)
    database_ready = Readiness(_side_session(settings, f"{name}.{kind} readiness"))
    health.serve(settings.host, settings.port, lambda: database_ready() or condition.unready())
    instance = settings.consumer_instance if kind == "consumer" else None
    with reported(session, kind, lambda: ("working", condition.unready()), instance), watched(kind):
        {"consumer": loop.consume, "worker": worker.work}[kind](service, settings, stop, condition)
    log.info("stopped")


def migrate(rest: list[str], name: str, settings: Settings) -> None:
    """Bring the database to this version's tables as their owner, and give the programs' roles their rights.

    `--expand` leaves out what would break the code before: the migrations named NNNN_contract_… (docs/how-to).
    """
    parser = argparse.ArgumentParser(prog=f"python -m waybill {name} migrate")
    parser.add_argument("--expand", action="store_true", help="leave migrations named NNNN_contract_… for later")
    expand = parser.parse_args(rest).expand
    if not settings.owner_database_url:
        raise SystemExit("WAYBILL_OWNER_DATABASE_URL: migrate needs the URL of the database's owner")
    from waybill.database import migrating
    from waybill.outbox import rights

    program = f"{name}.migrate"
    configure_django(
        (name,), settings.owner_database_url, program, statement_timeout="0", lock_timeout=migrating.LOCK_TIMEOUT
    )
    from django.db import OperationalError, connection

    from waybill.inbox import reactions

    roles: dict[LiteralString, str | None] = {SERVICE_GRANTS: settings.service_role, rights.RELAY: settings.relay_role}
    try:
        migrating.migrate(settings.owner_database_url, program, roles, expand=expand)
        reactions.record(import_module(f"{name}.service").service)
    except migrating.NeedsContracting as error:
        raise SystemExit(f"cannot migrate: {error}") from None
    except (OperationalError, migrating.LockHeld) as error:
        print(f"cannot migrate: {one_line(error)}", file=sys.stderr)
        sys.exit(reports.DEPENDENCY_DOWN)
    log.info("migrated", database=connection.connection.info.dbname)


def rebuild(rest: list[str], name: str, settings: Settings) -> None:
    """Report every row that is not the fold of its events; exits 3 where there is one.

    `--repair` sets them to the fold, and exits 3 where one is left as it is. `--checkpoint FILE` keeps the fold;
    `--archive DIR` has the events that have left the log.
    `--copies` does the same for copies of other services' data, with the topics that they come from.
    """
    parser = argparse.ArgumentParser(prog=f"python -m waybill {name} rebuild")
    parser.add_argument("--repair", action="store_true")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--archive", type=Path)
    parser.add_argument("--copies", action="store_true")
    given = parser.parse_args(rest)
    if given.copies:
        _rebuild_copies(name, settings)
    request = reports.read_request(reports.RepairRequest) if given.repair else None
    service = load(name, settings, "rebuild", statement_timeout="0")
    from django.db import DatabaseError

    from waybill.deciders.archive import ArchiveMissing
    from waybill.deciders.rebuild import Difference, Watch, check
    from waybill.deciders.repair import Record, repair

    wrong = False
    with reports.channel() as report:

        def show(difference: Difference) -> None:
            nonlocal wrong
            wrong |= request is None or difference.fold is None
            report(reports.RowDiffers(**asdict(difference)))

        watch = Watch(
            lambda done, total: report(reports.FoldProgress(done, total)),
            lambda reason: report(reports.CheckpointUnusable(reason)),
            given.archive,
        )
        try:
            if request is None:
                check(service, watch, show, given.checkpoint)
            else:
                only = (request.only[0], request.only[1]) if request.only else None
                for one in repair(service, only, Record(request.by, request.reason), watch, given.checkpoint):
                    show(one)
        except (DatabaseError, sqlite3.Error, ArchiveMissing) as error:
            where = "" if not isinstance(error, sqlite3.Error) else f"{given.checkpoint or 'the file of folded rows'}: "
            report(reports.ProgramFailed(f"{where}{str(error).strip().splitlines()[0]}"))
            sys.exit(reports.DEPENDENCY_DOWN)
    sys.exit(reports.DIFFERS if wrong else reports.DONE)


def _rebuild_copies(name: str, settings: Settings) -> NoReturn:
    """Report every copy that the topics do not lead to, and set them where that is requested."""
    request = reports.read_request(reports.CopiesRequest)
    service = load(name, settings, "rebuild", statement_timeout="0")
    from confluent_kafka import KafkaException

    from waybill.consumer import copies

    wrong = False
    with reports.channel() as report, reports.failures_reported(report):

        def show(one: copies.Different) -> None:
            nonlocal wrong
            wrong |= not request.execute
            report(reports.RowDiffers(one.table, one.key, one.row, one.fresh))

        def incomplete(reason: str) -> None:
            nonlocal wrong
            wrong = True
            report(reports.TopicIncomplete(reason))

        watch = copies.Watch(lambda done, total: report(reports.FoldProgress(done, total)), show, incomplete)
        record = copies.Record(request.by, request.reason or "") if request.execute else None
        try:
            copies.rebuild(service, settings, watch, record)
        except (copies.NoCopies, KafkaException) as error:
            report(reports.ProgramFailed(one_line(error)))
            sys.exit(reports.DEPENDENCY_DOWN)
    sys.exit(reports.DIFFERS if wrong else reports.DONE)


def redrive(rest: list[str], name: str, settings: Settings) -> None:
    """Handle all dead letters again, with `--only` those requested, and report each; exits 3 where one stays."""
    request = reports.read_request(reports.RedriveRequest) if rest == ["--only"] else None
    service = load(name, settings, "redrive")
    from waybill.inbox import redrive

    sys.exit(redrive.report_redriven(service, settings, request))


def change_task(verb: str, name: str, settings: Settings) -> None:
    """Change a due task as is requested, and report what comes of it; exits 3 where it is refused."""
    kinds: Any = {"settle": reports.SettleRequest, "reschedule": reports.RescheduleRequest}
    request: Any = reports.read_request(kinds.get(verb, reports.CancelTaskRequest))
    service = load(name, settings, verb)
    from waybill.deciders.outcomes import CommandRefused
    from waybill.tasks import changing, settle

    change: Any = {"settle": settle.settle, "reschedule": changing.reschedule, "cancel-task": changing.cancel}[verb]
    with reports.channel() as report, reports.failures_reported(report):
        try:
            report(change(service, request))
        except CommandRefused as error:
            report(reports.SettlementRefused(error.refused.detail))
            sys.exit(reports.DIFFERS)


def manage(rest: list[str], name: str, settings: Settings) -> None:
    """Run a Django management command for the service."""
    configure_django(
        (name,),
        settings.owner_database_url or settings.database_url,
        f"{name}.manage",
        web=_web(settings),  # so that `check` looks at what web has
        statement_timeout="0",
    )
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage", *rest])


if __name__ == "__main__":
    main(sys.argv[1:])
