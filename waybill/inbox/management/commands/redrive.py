"""`manage.py redrive`: handle the dead letters of this project again, first to last of each key."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from waybill.inbox.consuming import configured
from waybill.inbox.redrive import redrive, report_redriven
from waybill.runtime import reports


class Command(BaseCommand):
    """Print what came of each; exit with 3 where one stays a dead letter."""

    help = "Handle dead letters again once what stopped them is fixed; what fails again stays, with its new reason."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take whom the outcome is for."""
        parser.add_argument(
            "--only",
            action="store_true",
            help="those that the request on standard input names, reported as JSON lines: what `outbox redrive` runs",
        )

    def handle(self, *_: str, only: bool, **__: Any) -> None:
        """Redrive all of them, or those requested."""
        if only:
            sys.exit(report_redriven(*configured(), reports.read_request(reports.RedriveRequest)))
        left = 0
        for one in redrive(*configured()):
            left += one.failure is not None
            self.stdout.write(f"{one.place} {one.event_type} {one.key}: {one.failure or 'handled'}")
        sys.exit(reports.DIFFERS if left else reports.DONE)
