"""The dead letters of one key, however many others there are: by the index that the consumer asks before each batch."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg
from psycopg.rows import class_row

from outbox_relay.operations.parts import has_inbox

# -1 and 1 are django_outbox_pattern's FAILED and SCHEDULE; the partial index received_parked has the first.
MESSAGES: Final = """
SELECT %(service)s::text AS service, headers->'record'->>'ce_type' AS event_type, headers->>'place' AS place,
       headers->>'reason' AS reason, added AS dead_lettered_at
FROM received WHERE status = -1 AND headers->>'key' = %(key)s ORDER BY added
"""
# What the broker refused is little: the index on status leads to it.
PUBLICATIONS: Final = """
SELECT %(service)s::text AS service, body->>'event_type' AS event_type, 'position ' || (body->>'position') AS place,
       headers->>'reason' || ': ' || (headers->>'detail') AS reason, added AS dead_lettered_at
FROM published WHERE status IN (-1, 1) AND body->>'aggregate_id' = %(key)s ORDER BY added
"""


@dataclass(frozen=True, slots=True)
class KeysDeadLetter:
    """A message or a publication of the key that waits for an operator."""

    service: str
    event_type: str | None
    place: str
    reason: str
    dead_lettered_at: datetime


def read(service: str, connection: psycopg.Connection, key: str) -> list[KeysDeadLetter]:
    """Return them, oldest first, publications before messages. Raises psycopg.Error."""
    values = {"service": service, "key": key}
    with connection.cursor(row_factory=class_row(KeysDeadLetter)) as cursor:
        found = cursor.execute(PUBLICATIONS, values).fetchall()
        return found + (cursor.execute(MESSAGES, values).fetchall() if has_inbox(connection) else [])
