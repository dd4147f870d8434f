"""Redrive what waits for a schema id, once the id is registered: some at a time, between two batches."""

import time
from typing import Any

import structlog
from django.db import connection

from waybill.consumer.subscriber import Subscriber
from waybill.database.sqlstate import may_succeed_later
from waybill.inbox import inbox, redrive
from waybill.runtime import watchdog
from waybill.runtime.settings import Settings

log: Any = structlog.get_logger()
REGISTERED_SECONDS = 2.0  # between two looks, by a partial index that is empty almost always
REDRIVE_SECONDS = 0.5  # at once: messages wait meanwhile


def redrive_registered(subscriber: Subscriber, settings: Settings) -> float:
    """Redrive dead letters whose schema id is registered by now; returns the seconds until the next look."""
    until = time.monotonic() + REDRIVE_SECONDS
    try:
        known = inbox.registered(subscriber.name)
        for one in redrive.redrive(subscriber, settings, known) if known else ():
            watchdog.alive()
            log.info("redriven", place=one.place, key=one.key, type=one.event_type, failure=one.failure)
            if time.monotonic() > until:
                return 0.0
    except Exception as error:
        if not may_succeed_later(error):
            raise
        connection.close()  # the next batch, or readiness, tells of the database
    return REGISTERED_SECONDS
