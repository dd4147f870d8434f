"""The consumer of a Django project, as a program: its handlers, its health and its metrics, until SIGTERM or SIGINT."""

from typing import Any

from django.core.management.base import CommandError
from django.db import connection

from waybill.application import ApplicationUnknown, application
from waybill.consumer import loop
from waybill.database.side_session import SideSession
from waybill.database.urls import url_of
from waybill.inbox.handlers import MODULE, Handlers, discover
from waybill.observability import health
from waybill.observability.exposure import expose_consumer
from waybill.observability.output import json_lines
from waybill.observability.program_state import reported
from waybill.observability.readiness import Readiness
from waybill.runtime.condition import Condition
from waybill.runtime.settings import Settings, read
from waybill.runtime.signals import stop_requested
from waybill.runtime.watchdog import watched
from waybill.tracing import export, statements


def configured(**given: Any) -> tuple[Handlers, Settings]:
    """Return the project's handlers, and the settings of the environment with the project's own database.

    Raises CommandError where nothing is handled, SystemExit where a setting is malformed.
    """
    handlers = discover(_own_service())
    if not handlers.marked:
        raise CommandError(f"no handler: mark a function of the module {MODULE!r} of an installed app with @on(Event)")
    return handlers, read(Settings, database_url=url_of(connection.settings_dict), **given)


def _own_service() -> str:
    try:
        return application().own_service
    except ApplicationUnknown as error:
        raise CommandError(str(error)) from None


def run(handlers: Handlers, settings: Settings) -> None:
    """Consume until told to stop; writes JSON lines."""
    program = f"{handlers.name}.consumer"
    with json_lines(program, settings.log_level):
        export.start(program, settings)
        statements.install()
        stop = stop_requested()
        condition = Condition()
        session = SideSession(settings.database_url, program, pooled=settings.database_pooled)
        expose_consumer(handlers, session, condition)
        ready = Readiness(SideSession(settings.database_url, f"{program} readiness", pooled=settings.database_pooled))
        if "port" in settings.model_fields_set:  # the default is where `runserver` answers
            health.serve(settings.host, settings.port, lambda: ready() or condition.unready())
        instance = settings.consumer_instance
        with reported(session, "consumer", lambda: ("working", condition.unready()), instance), watched("consumer"):
            loop.consume(handlers, settings, stop, condition)
