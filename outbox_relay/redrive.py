"""What is parked, on both sides: publications that the broker refused, messages that a service could not handle."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg
from psycopg.rows import class_row

PUBLICATIONS: Final = """
SELECT %(service)s::text AS service, 'publication' AS kind, published.id::text AS event_id,
       body->>'event_type' AS event_type, published.destination AS topic, body->>'aggregate_id' AS key,
       (body->>'aggregate_version')::int AS version, 'position ' || (body->>'position') AS place,
       CASE WHEN status = 1 THEN 'redriven, not sent yet' ELSE headers->>'reason' || ': ' || (headers->>'detail') END
           AS reason,
       added AS parked_at
FROM published WHERE status <> 2
ORDER BY (body->>'position')::bigint
"""
# Parked by the consumer with the record as it came; in the sequence of the topic.
MESSAGES: Final = """
SELECT %(service)s::text AS service, 'message' AS kind, headers->'record'->>'ce_id' AS event_id,
       headers->'record'->>'ce_type' AS event_type, headers->>'topic' AS topic, headers->>'key' AS key,
       CASE WHEN headers->'record'->>'ce_sequence' ~ '^\\d{1,9}$' THEN (headers->'record'->>'ce_sequence')::int END
           AS version,
       headers->>'place' AS place, headers->>'reason' AS reason, added AS parked_at
FROM received WHERE status = -1
ORDER BY headers->>'topic', headers->>'key', split_part(headers->>'place', '/', 3)::bigint
"""


@dataclass(frozen=True, slots=True)
class Parked:
    """A publication or a message that waits for an operator."""

    service: str
    kind: str
    event_id: str | None
    event_type: str | None
    topic: str
    key: str
    version: int | None
    place: str
    reason: str
    parked_at: datetime


def read_parked(service: str, connection: psycopg.Connection) -> list[Parked]:
    """Return everything parked in the service's database. Raises psycopg.Error."""
    with connection.cursor(row_factory=class_row(Parked)) as cursor:
        publications = cursor.execute(PUBLICATIONS, {"service": service}).fetchall()
        return publications + cursor.execute(MESSAGES, {"service": service}).fetchall()
