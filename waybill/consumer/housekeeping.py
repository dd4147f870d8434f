"""Remove what is old, in portions between two batches: inbox rows, rows of what ended, answers to Idempotency-Keys."""

from typing import Any

import structlog
from django.apps import apps
from django.db import connection

from waybill.consumer.subscriber import SetSubscriber, Subscriber
from waybill.database.sqlstate import may_succeed_later, one_line
from waybill.deciders import retention
from waybill.inbox import inbox
from waybill.runtime.settings import Settings

log: Any = structlog.get_logger()
HOUSEKEEPING_SECONDS = 3600.0  # between two looks; what is old by then is hours too old at most
FORGET_ROWS = 5_000  # at once: messages wait meanwhile, for some 50 ms


def clean(subscriber: Subscriber, settings: Settings) -> float:
    """Remove what is old, at most FORGET_ROWS of each kind; returns the seconds until it is worth while again."""
    try:
        removed = {
            "inbox": inbox.forget(settings.inbox_days, FORGET_ROWS),
            **retention.forget(subscriber.tables.values(), FORGET_ROWS),
        }
        if isinstance(subscriber, SetSubscriber):
            removed |= subscriber.clean(FORGET_ROWS)
        if apps.is_installed("waybill.rest"):
            from waybill.rest import idempotency  # brings what only the web program needs at its start

            removed["idempotency_keys"] = idempotency.forget(FORGET_ROWS)
    except Exception as error:
        if not may_succeed_later(error):
            raise
        log.warning("housekeeping put off", reason=one_line(error))
        connection.close()
        return HOUSEKEEPING_SECONDS
    if any(removed.values()):
        log.info("housekeeping", **removed)
    return 1.0 if FORGET_ROWS in removed.values() else HOUSEKEEPING_SECONDS
