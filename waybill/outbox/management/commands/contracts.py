"""`manage.py contracts STEP`: `python -m waybill contracts STEP` for this project, with its own database."""

import os
import sys
from pathlib import Path

from django.core.management.base import BaseCommand
from django.db import connection

from waybill.contracts.command import main
from waybill.database.urls import url_of

DATABASES = "WAYBILL_OWNER_DATABASE_URLS"


class Command(BaseCommand):
    """Hand every argument over, `--help` too."""

    help = "Generate, check, release, register and pull the events' schemas, and create their topics."
    requires_system_checks = ()  # `generate` writes the module of events that others may import

    def run_from_argv(self, argv: list[str]) -> None:
        """Run a step and leave with its exit code."""
        if not {DATABASES, f"{DATABASES}_FILE"} & os.environ.keys():
            os.environ[DATABASES] = url_of(connection.settings_dict)
        sys.exit(main(argv[2:], program=f"{Path(argv[0]).name} contracts"))
