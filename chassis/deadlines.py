"""Due rows: what a worker has to do for an aggregate at a time, by the database's clock.

A row points to the event that asked for it and is written in that event's transaction; it is removed in the transaction
of the command that says what came of it. In between the worker claims it: the claim puts the row's time off by its
backoff, so a worker that dies costs a delay and nothing else, and a hundred rows that fail cannot starve a healthy one.
An attempt can therefore be made twice, by two workers even; whatever it calls must stand that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import connection

from chassis.telemetry import Cause
from schemas import codec
from schemas.events import Event

if TYPE_CHECKING:
    from chassis.outbox import Appended
    from chassis.service import Service

SCHEDULE = """
INSERT INTO due (task, event_id, due_at)
SELECT task, event_id, clock_timestamp() + make_interval(secs => delay_seconds)
FROM unnest(%s::text[], %s::uuid[], %s::float8[]) AS new (task, event_id, delay_seconds)
"""

# Fewest attempts first, then longest due. SKIP LOCKED: two workers never take the same row at once.
CLAIM = """
WITH claimed AS (
    UPDATE due
    SET attempts = attempts + 1,
        due_at = clock_timestamp()
                 + make_interval(secs => %(lease)s + least(60, %(retry)s * 2 ^ least(attempts, 10)))
    WHERE id IN (SELECT id FROM due WHERE due_at <= clock_timestamp() ORDER BY attempts, due_at LIMIT %(limit)s
                 FOR UPDATE SKIP LOCKED)
    RETURNING id, task, attempts, event_id
)
SELECT id, task, attempts, event_id::text, event_type, schema_version, payload,
       metadata->>'correlation_id', metadata->>'traceparent', metadata->>'tracestate', metadata->>'replay_id'
FROM claimed JOIN outbox USING (event_id)
"""

PUT_OFF = """
UPDATE due SET due_at = clock_timestamp() + make_interval(secs => least(60, %(retry)s * 2 ^ least(attempts - 1, 10))),
               last_error = %(error)s
WHERE id = %(id)s AND attempts = %(attempts)s
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A due row in this worker's hands, with the event that asked for it."""

    id: int
    task: str
    attempts: int
    event: Event
    cause: Cause


def schedule(service: "Service", appended: "Sequence[Appended]") -> None:
    """Write the due rows that these events ask for; inside the open transaction."""
    rows = [
        (task.name, a.event_id, task.delay.total_seconds())
        for a in appended
        for task in service.due_after.get(type(a.event), ())
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(SCHEDULE, [list(column) for column in zip(*rows, strict=True)])


def claim(limit: int, *, lease_seconds: float, retry_seconds: float) -> list[Claimed]:
    """Take up to `limit` due rows for `lease_seconds` and their backoff; commits at once."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, {"limit": limit, "lease": lease_seconds, "retry": retry_seconds})
        return [
            Claimed(
                id_,
                task,
                attempts,
                codec.decode(event_type, schema_version, bytes(payload)),
                Cause(
                    correlation_id,
                    causation_id=event_id,
                    traceparent=traceparent,
                    tracestate=tracestate,
                    replay_id=replay_id,
                ),
            )
            for (
                id_,
                task,
                attempts,
                event_id,
                event_type,
                schema_version,
                payload,
                correlation_id,
                traceparent,
                tracestate,
                replay_id,
            ) in cursor.fetchall()
        ]


def put_off(claimed: Claimed, error: str, *, retry_seconds: float) -> None:
    """Give a row back after a failed attempt, due again after its backoff."""
    with connection.cursor() as cursor:
        values = {"id": claimed.id, "attempts": claimed.attempts, "retry": retry_seconds, "error": error[:2000]}
        cursor.execute(PUT_OFF, values)


def finish(claimed: Sequence[Claimed]) -> None:
    """Remove rows whose work is done; inside the transaction that records what came of it."""
    if claimed:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM due WHERE id = ANY(%s)", [[c.id for c in claimed]])
