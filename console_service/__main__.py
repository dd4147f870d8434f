"""`python -m console_service web|rebuild`; consumer, migrate and redrive are `python -m waybill console_service …`."""

import argparse
import sys
from contextlib import nullcontext
from secrets import token_urlsafe

import structlog

from console_service.settings import ConsoleSettings
from console_service.web.project import project
from outbox_relay.databases import database_urls
from waybill.database.side_session import SideSession
from waybill.observability.output import json_lines
from waybill.observability.program_state import reported
from waybill.observability.telemetry import configure_logging
from waybill.runtime import reports
from waybill.runtime.django_settings import Web, configure_django
from waybill.runtime.settings import Settings, read
from waybill.runtime.signals import end_while_starting

log: structlog.stdlib.BoundLogger = structlog.get_logger()
NAME = "console_service"


def main(argv: list[str]) -> None:
    """Run one program of the console."""
    parser = argparse.ArgumentParser(prog="python -m console_service", description=__doc__)
    parser.add_argument("program", choices=["web", "rebuild"])
    program = parser.parse_args(argv).program
    name = f"{NAME}.{program}"
    with json_lines(name) if program == "web" else nullcontext():
        settings = read(Settings)
        configure_logging(name, settings.log_level)
        {"web": web, "rebuild": rebuild}[program](settings)


def web(settings: Settings) -> None:
    """Serve the pages until SIGTERM or SIGINT, and the health paths on a port of their own."""
    _check(settings)
    own = read(ConsoleSettings)
    django = project(
        hosts=settings.hosts,
        secret_key=own.console_secret_key or token_urlsafe(64),
        hours=own.console_session_hours,
        secure=not settings.in_development,
    )
    pages = Web(settings.hosts, settings.max_body_bytes, django)
    configure_django((NAME,), settings.database_url, f"{NAME}.web", web=pages, pooled=settings.database_pooled)
    from console_service.web import assets, observed
    from waybill.observability import health
    from waybill.observability.readiness import Readiness
    from waybill.rest import keys
    from waybill.rest.serving.gateway import Gateway, Limits
    from waybill.rest.serving.server import serve

    assets.assets()
    key_source = keys.source(settings)
    limits = Limits(
        threads=settings.web_threads,
        queue=settings.web_queue,
        queue_seconds=settings.web_queue_seconds,
        body_bytes=settings.max_body_bytes,
        rate=None,
    )
    gateway = Gateway(settings.hosts, limits)
    session = SideSession(settings.database_url, f"{NAME}.web", pooled=settings.database_pooled)
    observed.expose(session)
    probe = SideSession(settings.database_url, f"{NAME}.web readiness", pooled=settings.database_pooled)
    database_ready = Readiness(probe)
    health.serve(
        settings.host,
        settings.health_port,
        lambda: database_ready() or key_source.unready(),
        variable="WAYBILL_HEALTH_PORT",
    )
    with reported(session, "web", lambda: ("working", None)):
        serve(gateway, settings.host, settings.port, settings.web_handover)
    log.info("stopped")


def _check(settings: Settings) -> None:
    given = read(ConsoleSettings).outbox_databases
    if not given:
        raise SystemExit("WAYBILL_OUTBOX_DATABASES: web needs the databases of the services that it shows")
    try:
        database_urls(given)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    if not settings.hosts:
        raise SystemExit("WAYBILL_ALLOWED_HOSTS: in production web needs the names that browsers may ask for")


def rebuild(settings: Settings) -> None:
    """Read all topics from their first records into fresh tables, and put them in the place of the read model."""
    configure_django((NAME,), settings.database_url, f"{NAME}.rebuild", statement_timeout="0")
    from console_service.read_model import rebuilding

    try:
        rebuilding.rebuild(settings, lambda line: print(line, flush=True))
    except rebuilding.Failed as error:
        print(f"cannot rebuild: {error}", file=sys.stderr)
        sys.exit(reports.DEPENDENCY_DOWN)


if __name__ == "__main__":
    end_while_starting()
    main(sys.argv[1:])
