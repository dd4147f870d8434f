"""`manage.py relay`: publish this project's outbox, by what its settings say."""

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections, router

from waybill.application import ApplicationUnknown, application
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
        try:
            of, service = application(), application().own_service
        except ApplicationUnknown as error:
            raise CommandError(str(error)) from None
        given = {
            "WAYBILL_SERVICE": service,
            "WAYBILL_SCHEMAS": str(of.schemas.resolve()),
            "WAYBILL_DATABASE_URL": url_of(connections[router.db_for_write(OutboxEvent)].settings_dict),
        }
        given = {name: value for name, value in given.items() if f"{name}_FILE" not in os.environ}
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, "-m", "outbox_relay"], given | os.environ)  # noqa: S606 - no shell
