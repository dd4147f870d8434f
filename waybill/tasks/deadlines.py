"""Due rows: what a worker has to do for an aggregate at a time, by the database's clock.

A row points to the event that asked for it and is written in that event's transaction; it is removed in the transaction
of the command that says what came of it. In between the worker claims it: the claim puts the row's time off by its
backoff, so a worker that dies costs a delay and nothing else, and a hundred rows that fail cannot starve a healthy one.
An attempt can therefore be made twice, by two workers even; whatever it calls must stand that.

Nothing due is ever dropped. What only an operator can end, or has been tried for too long, is tried on and marked with
the time since when and the remediation; the mark goes with the row, once an attempt succeeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import connection, transaction

from waybill.consumer import schema_ids
from waybill.contracts import codec
from waybill.contracts.event import Event
from waybill.deciders.outcomes import NeedsAttention, NotAttempted, OutcomeUnknown, RetryLater
from waybill.deciders.service import Tried
from waybill.observability.telemetry import Cause
from waybill.runtime import wake_up
from waybill.runtime.settings import settings

if TYPE_CHECKING:
    from waybill.deciders.service import Service
    from waybill.outbox.outbox import Appended, Statement

# The guard is that of the append: where it refuses the events, nothing here may point to them.
SCHEDULE = """
INSERT INTO waybill_due_task (task, event_id, due_at)
SELECT task, event_id, clock_timestamp() + make_interval(secs => delay_seconds)
FROM unnest(%s::text[], %s::uuid[], %s::float8[]) AS new (task, event_id, delay_seconds)
WHERE current_setting('synchronous_commit') <> 'off'
"""
FINISH = "DELETE FROM waybill_due_task WHERE id = ANY(%s::bigint[])"

# For each task as many as it has room for, so that one that hangs leaves the others theirs. Fewest attempts first, then
# longest due. SKIP LOCKED: two workers never take the same row at once.
# The statement's time is the same for all rows; by the clock's, which may differ, no index finds what is due, and each
# claim would read all that waits.
# Materialized: a plan that looks for the chosen anew for each row finds others, and claims more than there is room for.
CLAIM = """
WITH chosen AS MATERIALIZED (
    SELECT free.id
    FROM unnest(%(tasks)s::text[], %(capacity)s::int[]) AS wanted (task, capacity),
         LATERAL (SELECT id FROM waybill_due_task WHERE waybill_due_task.task = wanted.task
         AND due_at <= statement_timestamp()
                  ORDER BY attempts, due_at LIMIT wanted.capacity FOR UPDATE SKIP LOCKED) AS free
), claimed AS (
    UPDATE waybill_due_task
    SET attempts = attempts + 1,
        first_attempt_at = coalesce(first_attempt_at, clock_timestamp()),
        due_at = clock_timestamp()
                 + make_interval(secs => %(lease)s + least(60, %(retry)s * 2 ^ least(attempts, 10)))
    WHERE id IN (SELECT id FROM chosen)
    RETURNING id, task, attempts, event_id, asked_in_vain,
              date_part('epoch', clock_timestamp() - first_attempt_at) AS seconds
)
SELECT id, task, attempts, seconds, asked_in_vain, date_part('epoch', clock_timestamp() - recorded_at),
       aggregate_type, aggregate_id, event_id::text, event_type, schema_version, payload,
       metadata->>'correlation_id', metadata->>'traceparent', metadata->>'tracestate', metadata->>'replay_id'
FROM claimed JOIN waybill_outbox USING (event_id)
"""

PUT_OFF = """
UPDATE waybill_due_task
SET due_at = clock_timestamp()
             + make_interval(secs => coalesce(%(seconds)s, least(60, %(retry)s * 2 ^ least(attempts - 1, 10)))),
               last_error = %(error)s,
               asked_in_vain = asked_in_vain OR %(look_up_only)s,
               attention_since = coalesce(attention_since, CASE WHEN %(attention)s THEN clock_timestamp() END),
               way_out = coalesce(%(remediation)s, way_out)
WHERE id = %(id)s AND attempts = %(attempts)s
"""

# As if it had not been claimed.
GIVE_BACK = """
UPDATE waybill_due_task SET due_at = clock_timestamp() + make_interval(secs => %(seconds)s), last_error = %(error)s,
               attempts = attempts - 1,
               first_attempt_at = CASE WHEN attempts > 1 THEN first_attempt_at END,
               attention_since = coalesce(attention_since, CASE WHEN %(attention)s THEN clock_timestamp() END),
               way_out = coalesce(%(remediation)s, way_out)
WHERE id = %(id)s AND attempts = %(attempts)s
"""

MARKED = """
SELECT DISTINCT aggregate_id FROM waybill_due_task JOIN waybill_outbox USING (event_id)
WHERE attention_since IS NOT NULL AND aggregate_type = %s AND aggregate_id = ANY(%s)
"""

WAITING = """
SELECT aggregate_id, attempts, CASE WHEN attempts > 0 THEN due_at END, last_error
FROM waybill_due_task JOIN waybill_outbox USING (event_id)
WHERE task = %s AND aggregate_type = %s AND aggregate_id = ANY(%s)
"""


class CannotBegin(NeedsAttention):
    """What an attempt is made with is broken in the database: the event that asked for it, or its aggregate's row."""


class Waiting(NamedTuple):
    """A due row as whoever asked for the work may see it; `reason` is what the last attempt met."""

    attempts: int
    next_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A due row in this worker's hands, with the event that asked for it."""

    id: int
    task: str
    attempts: int
    tried: Tried
    asked_seconds: float  # since the event was recorded
    aggregate_type: str
    key: str
    event_type: str
    schema_version: int
    payload: bytes
    cause: Cause

    def read(self) -> Event:
        """Return the event that asked for it; raises CannotBegin where it cannot be read."""
        try:
            return schema_ids.decode(self.event_type, self.schema_version, self.payload)
        except codec.UnreadableEvent as error:
            raise CannotBegin(f"the event {self.cause.causation_id} cannot be read: {error}") from error


def changes(service: "Service", appended: "Sequence[Appended]", finished: Sequence[int]) -> "list[Statement]":
    """Return what writes the due rows that these events ask for, and what removes those whose work is done.

    To be executed with `outbox.write` in the open transaction: that a row's event is there is checked at the end.
    """
    rows = [
        (task.name, a.event_id, task.delay.total_seconds())
        for a in appended
        for task in service.due_after.get(type(a.event), ())
    ]
    if any(delay_seconds <= 0 for _, _, delay_seconds in rows):
        transaction.on_commit(_wake_worker)
    scheduled = [(SCHEDULE, [list(column) for column in zip(*rows, strict=True)])] if rows else []
    return [*scheduled, *([(FINISH, [list(finished)])] if finished else [])]


def _wake_worker() -> None:
    wake_up.send(settings().worker_wake_up)


def claim(capacity: Mapping[str, int], *, lease_seconds: float, retry_seconds: float) -> list[Claimed]:
    """Take due rows, of each task as many as it has room for, for the lease and their backoff; commits at once."""
    tasks = {"tasks": list(capacity), "capacity": list(capacity.values())}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, {**tasks, "lease": lease_seconds, "retry": retry_seconds})
        return [_claimed(*row) for row in cursor.fetchall()]


def _claimed(
    id_: int, task: str, attempts: int, seconds: float, look_up_only: bool, asked_seconds: float, *asked: Any
) -> Claimed:
    aggregate_type, key, event_id, event_type, schema_version, payload, *cause = asked
    correlation_id, traceparent, tracestate, replay_id = cause
    return Claimed(
        id_,
        task,
        attempts,
        Tried(attempts, seconds, look_up_only),
        asked_seconds,
        aggregate_type,
        key,
        event_type,
        schema_version,
        bytes(payload),
        Cause(
            correlation_id, causation_id=event_id, traceparent=traceparent, tracestate=tracestate, replay_id=replay_id
        ),
    )


def put_off(claimed: Claimed, error: BaseException, *, retry_seconds: float, remediation: str | None) -> None:
    """Give a row back after a failed attempt, due again after its backoff; where there is a remediation, mark it."""
    values = {
        "id": claimed.id,
        "attempts": claimed.attempts,
        "error": error.reason if isinstance(error, RetryLater) else repr(error)[:2000],
        "attention": remediation is not None,
        "remediation": remediation,
    }
    with connection.cursor() as cursor:
        if isinstance(error, NotAttempted):
            cursor.execute(GIVE_BACK, {**values, "seconds": error.seconds})
        else:
            look_up_only = isinstance(error, OutcomeUnknown)
            seconds = error.seconds if isinstance(error, RetryLater) else None
            cursor.execute(
                PUT_OFF, {**values, "retry": retry_seconds, "look_up_only": look_up_only, "seconds": seconds}
            )


def marked(aggregate_type: str, keys: Sequence[str]) -> set[str]:
    """Return which of these aggregates have a row that needs attention."""
    with connection.cursor() as cursor:
        cursor.execute(MARKED, [aggregate_type, list(keys)])
        return {key for (key,) in cursor.fetchall()}


def waiting(task: str, aggregate_type: str, keys: Sequence[str]) -> dict[str, Waiting]:
    """Return what is tried again or still to be tried for these aggregates."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING, [task, aggregate_type, list(keys)])
        return {key: Waiting(*rest) for key, *rest in cursor.fetchall()}
