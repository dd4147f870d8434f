"""Parked messages, handled again in sequence once what stopped them is mended.

Key by key, first to last, each in one transaction: the parked row goes, and inbox row, rows and events come as if the
record had just arrived. One that fails again stays as it was, and so do those behind it; other keys flow.

The consumer may run meanwhile. It reads which keys are parked with a share lock on their rows, so it waits for a
release under way, and then finds the key free, or parks behind what is left: nothing overtakes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from chassis import consumer, inbox, unit_of_work
from chassis.message import Message
from chassis.service import Service
from chassis.settings import Settings
from chassis.sqlstate import may_succeed_later

PARKED: Final = """
SELECT id, headers, body FROM received WHERE status = -1 AND headers->>'consumer' = %s
ORDER BY headers->>'topic', headers->>'key', split_part(headers->>'place', '/', 3)::bigint
"""
TAKE: Final = "DELETE FROM received WHERE id = %s AND status = -1"


@dataclass(frozen=True, slots=True)
class Redriven:
    """What came of one parked message; `trouble` is None where it was handled."""

    topic: str
    key: str
    place: str
    event_type: str | None
    trouble: str | None


def redrive(service: Service, settings: Settings) -> Iterator[Redriven]:
    """Handle everything parked, yielding what comes of each message. Raises what `may_succeed_later`."""
    stuck: set[tuple[str, str]] = set()
    for row_id, message in _parked(service.name):
        if (message.topic, message.key) in stuck:
            trouble: str | None = "behind a parked message of its key"
        else:
            trouble = _try(service, row_id, message, settings)
        if trouble:
            stuck.add((message.topic, message.key))
        yield Redriven(message.topic, message.key, message.place, message.event_type, trouble)


def _try(service: Service, row_id: UUID, message: Message, settings: Settings) -> str | None:
    try:
        _release(service, row_id, message, settings)
    except Exception as error:
        if may_succeed_later(error):
            raise
        return f"{type(error).__name__}: {error}"
    return None


@unit_of_work.retried
def _release(service: Service, row_id: UUID, message: Message, settings: Settings) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(TAKE, [row_id])
            if not cursor.rowcount:
                return  # another operator was quicker
        consumer.handle(service, [message], settings)


def _parked(name: str) -> list[tuple[UUID, Message]]:
    with connection.cursor() as cursor:
        cursor.execute(PARKED, [name])
        return [(row_id, inbox.read_stored(_json(headers), _json(body))) for row_id, headers, body in cursor.fetchall()]


def _json(value: Any) -> dict[str, Any]:
    return json.loads(value) if isinstance(value, str) else value
