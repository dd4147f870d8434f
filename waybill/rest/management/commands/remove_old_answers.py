"""`manage.py remove_old_answers`: remove the answers to Idempotency-Keys that are older than a day."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import DEFAULT_DB_ALIAS

from waybill.rest.idempotency import forget

PORTION = 5_000  # rows of one transaction


class Command(BaseCommand):
    """Remove them, for a project in which no consumer does; run it once a day."""

    help = "Remove the answers to Idempotency-Keys that are older than a day. Consumers do it by themselves."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the database."""
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="alias of the database that has the answers")

    def handle(self, *_: str, **options: Any) -> None:
        """Remove them in portions, each in a transaction of its own; safe while the service works."""
        removed = 0
        while (portion := forget(PORTION, options["database"])) > 0:
            removed += portion
        self.stdout.write(f"{removed} answers removed")
