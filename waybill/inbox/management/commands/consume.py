"""`manage.py consume`: hand the events of other services to this project's handlers."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from waybill.inbox import consuming


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

    def handle(self, *_: str, host: str | None, port: int | None, **__: Any) -> None:
        """Consume until told to stop."""
        given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
        consuming.run(*consuming.configured(**given))
