"""`manage.py relay`: publish this project's outbox, by what its settings say."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connections, router

from waybill.application import application
from waybill.database.urls import url_of
from waybill.outbox.models import OutboxEvent


class Command(BaseCommand):
    """Become `python -m outbox_relay`, a program that knows no Django; the environment comes before the settings."""

    help = (
        "Publish the outbox to Kafka (WAYBILL_KAFKA_BOOTSTRAP) until SIGTERM or SIGINT. As whom the database is read: "
        "WAYBILL_DATABASE_URL, else the user of the settings. Everything else: docs/relay.md."
    )

    def handle(self, *_: str, **__: Any) -> None:
        """Replace this process by the relay."""
        told = {
            "WAYBILL_SERVICE": settings.WAYBILL["SERVICE"],
            "WAYBILL_SCHEMAS": str(application().schemas.resolve()),
            "WAYBILL_DATABASE_URL": url_of(connections[router.db_for_write(OutboxEvent)].settings_dict),
        }
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, "-m", "outbox_relay"], told | os.environ)  # noqa: S606 - no shell
