"""`manage.py consume`: hand the events of other services to this project's handlers."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings as django_settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from waybill.database.urls import url_of
from waybill.inbox.consuming import run
from waybill.inbox.handlers import MODULE, discover
from waybill.runtime.settings import Settings, read


class Command(BaseCommand):
    """Run the consumer; one process takes its share of the partitions, so several divide the work."""

    help = (
        "Read the topics of the events that this project has handlers for (module `handlers` of each app), and hand "
        "each event over once. Runs until SIGTERM or SIGINT; logs JSON lines."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take where health and metrics are answered; all else is told by the environment."""
        parser.add_argument("--port", type=int, help="answer /livez, /readyz and /metrics here (default: nowhere)")
        parser.add_argument("--host", help="the address of that (default: 127.0.0.1)")

    def handle(self, *_: str, **given: Any) -> None:
        """Consume until told to stop."""
        handlers = discover(django_settings.WAYBILL["SERVICE"])
        if not handlers.marked:
            raise CommandError(
                f"no handler: mark a function in a module {MODULE!r} of an installed app with @on(Event)"
            )
        told = {name: given[name] for name in ("host", "port") if given[name] is not None}
        run(handlers, read(Settings, database_url=url_of(connection.settings_dict), **told))
