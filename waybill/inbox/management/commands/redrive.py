"""`manage.py redrive`: handle the dead letters of this project again, first to last of each key."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from waybill.inbox.consuming import configured
from waybill.inbox.redrive import redrive


class Command(BaseCommand):
    """Print what came of each; exit with 3 where one stays a dead letter."""

    help = "Handle dead letters again once what stopped them is fixed; what fails again stays, with its new reason."

    def handle(self, *_: str, **__: Any) -> None:
        """Redrive all of them."""
        left = 0
        for one in redrive(*configured()):
            left += one.failure is not None
            self.stdout.write(f"{one.place} {one.event_type} {one.key}: {one.failure or 'handled'}")
        sys.exit(3 if left else 0)
