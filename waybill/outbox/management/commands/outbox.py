"""`manage.py outbox VERB`: the `outbox` command, told of this project by its settings."""

import os
import sys

from django.core.management.base import BaseCommand
from django.db import connections, router

from waybill.application import ApplicationUnknown, application
from waybill.database.urls import url_of
from waybill.outbox.models import OutboxEvent


class Command(BaseCommand):
    """Become `python -m outbox_relay VERB`; the environment comes before the settings."""

    help = "Ask the outbox and the inbox, and act on them: manage.py outbox --help, docs/outbox-command.md."

    def run_from_argv(self, argv: list[str]) -> None:
        """Replace this process by the command, with every argument handed over."""
        try:
            of, service = application(), application().own_service
            url = url_of(connections[router.db_for_write(OutboxEvent)].settings_dict)
        except (ApplicationUnknown, ValueError) as error:
            sys.exit(str(error))
        told = {"WAYBILL_OUTBOX_DATABASES": f"{service}={url}", "WAYBILL_SCHEMAS": str(of.schemas.resolve())}
        if of.events:
            told["WAYBILL_EVENTS"] = of.events
        modules = filter(None, [sys.path[0], os.environ.get("PYTHONPATH")])  # the project's, where `manage.py` has them
        told = {name: value for name, value in told.items() if f"{name}_FILE" not in os.environ}
        environment = told | os.environ | {"PYTHONPATH": os.pathsep.join(modules)}
        sys.stdout.flush()
        command = [sys.executable, "-m", "outbox_relay", *(argv[2:] or ["--help"])]
        os.execve(sys.executable, command, environment)  # noqa: S606 - no shell
