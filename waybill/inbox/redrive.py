"""Dead letters, handled again in sequence once what stopped them is repaired.

Key by key, first to last, each in one transaction: its row goes, and inbox row, rows and events come as if the record
had just arrived. One that fails again stays, with its new reason, and so do those behind it; other keys flow.

The consumer may run meanwhile. It reads which keys are blocked with a share lock on their rows, so it waits for a
release under way, and then finds the key free, or blocked by what is left: nothing overtakes.
"""

import json
import time
from collections.abc import Collection, Iterator
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from waybill.consumer import handling
from waybill.consumer.subscriber import Subscriber
from waybill.database.sqlstate import may_succeed_later
from waybill.deciders import unit_of_work
from waybill.deciders.outcomes import SchemaUnknown
from waybill.inbox import inbox, redrive_results
from waybill.inbox.redrive_results import Note, Outcome
from waybill.runtime import reports
from waybill.runtime.reports import MessageRedriven, RedriveRequest
from waybill.runtime.settings import Settings
from waybill.tracing.messages import processed

# A key has messages in two partitions where its topic has grown: all that it had in the old one came first.
DEAD_LETTERS: Final = """
SELECT id, topic, key, place, event_type
FROM (SELECT *, min(added) OVER (PARTITION BY topic, key, "partition") AS begins
      FROM (SELECT id, added, headers->>'topic' AS topic, headers->>'key' AS key, headers->>'place' AS place,
                   headers->'record'->>'ce_type' AS event_type,
                   split_part(headers->>'place', '/', 2)::int AS "partition",
                   split_part(headers->>'place', '/', 3)::bigint AS "offset"
            FROM received WHERE status = -1 AND headers->>'consumer' = %s) AS located) AS begun
ORDER BY topic, key, begins, "partition", "offset"
"""
# Deleted first, so that the message counts as never received; a failure rolls the deletion back.
TAKE: Final = "DELETE FROM received WHERE id = %s AND status = -1 RETURNING headers, body"


class _DeadLetter(NamedTuple):
    id: UUID
    topic: str
    key: str
    place: str
    event_type: str | None

    @property
    def ordering_key(self) -> tuple[str, str]:
        return self.topic, self.key


class _Pace:
    """Let so many a second begin, evenly; a slow stretch is not made up for."""

    def __init__(self, rate: int | None) -> None:
        self._seconds = 0.0 if rate is None else 1 / rate
        self._due_at = 0.0

    def wait(self) -> None:
        now = time.monotonic()
        if self._due_at > now:
            time.sleep(self._due_at - now)
        self._due_at = max(now, self._due_at) + self._seconds


class _Tried(NamedTuple):
    failure: str | None
    ignored: str | None = None


def redrive(
    subscriber: Subscriber,
    settings: Settings,
    only: Collection[UUID] | None = None,
    *,
    job: UUID | None = None,
    rate: int | None = None,
) -> Iterator[MessageRedriven]:
    """Handle all dead letters, or these rows, yielding what comes of each message. Raises what `may_succeed_later`.

    None overtakes an earlier one of its key that is not among them. What came meanwhile behind one of these is
    handled too. What comes of each is noted with the job, if there is one; at most `rate` are begun a second.
    """
    note = redrive_results.noting(job)
    pace = _Pace(rate)
    seen: set[UUID] = set()
    # Of ordering keys: `stuck` has a dead letter that stays, so later ones stay too; `freed` had one handled, so what
    # the consumer adds behind it meanwhile is handled as well.
    stuck: set[tuple[str, str]] = set()
    freed: set[tuple[str, str]] = set()
    waiting = _dead_letters(subscriber.name)
    while waiting:
        for one in waiting:
            seen.add(one.id)
            if only is not None and one.id not in only and one.ordering_key not in freed:
                stuck.add(one.ordering_key)  # not chosen, and nothing of its key may go before it
                continue
            if one.ordering_key not in stuck:
                pace.wait()
                tried = _try(subscriber, one.id, settings, note)
            elif only is None or one.id in only:
                tried = _Tried(inbox.BEHIND)
                note(one.id, Outcome.BEHIND, inbox.BEHIND)
            else:
                continue
            (stuck if tried.failure else freed).add(one.ordering_key)
            yield MessageRedriven(one.topic, one.key, one.place, one.event_type, *tried)
        waiting = [
            one for one in _dead_letters(subscriber.name) if one.id not in seen and one.ordering_key in freed - stuck
        ]


def report_redriven(subscriber: Subscriber, settings: Settings, request: RedriveRequest | None) -> int:
    """Handle the dead letters requested, or all, and report each; returns the exit code."""
    only = {UUID(one) for one in request.only} if request else None
    job = UUID(request.job) if request and request.job else None
    left = 0
    with reports.channel() as report, reports.failures_reported(report):
        for one in redrive(subscriber, settings, only, job=job, rate=request.rate if request else None):
            left += one.failure is not None
            report(one)
    return reports.DIFFERS if left else reports.DONE


def _try(subscriber: Subscriber, row_id: UUID, settings: Settings, note: Note) -> _Tried:
    try:
        ignored = _release(subscriber, row_id, settings, note)
    except Exception as error:
        if may_succeed_later(error):
            raise
        reason = f"{type(error).__name__}: {error}"
        with transaction.atomic():
            schema_id = error.schema_id if isinstance(error, SchemaUnknown) else None
            inbox.note_reason(row_id, reason, schema_id, handling.traceback_of(error))
            note(row_id, Outcome.FAILED, reason)
        return _Tried(reason)
    return _Tried(None, ignored)


@unit_of_work.retried
def _release(subscriber: Subscriber, row_id: UUID, settings: Settings, note: Note) -> str | None:
    """Handle one; returns why it had no effect, if so."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(TAKE, [row_id])
            taken = cursor.fetchone()
        if taken is None:  # another operator was quicker
            note(row_id, Outcome.GONE, None)
            return None
        message = inbox.read_stored(*map(_json, taken))
        with processed(subscriber.name, [message]):
            received = inbox.receive(subscriber.name, [message], retention_days=settings.inbox_days, redriven=True)
            ignored = handling.handle(subscriber, [message], received.fresh)
        note(row_id, Outcome.IGNORED if ignored else Outcome.HANDLED, ignored)
        return ignored


def _dead_letters(name: str) -> list[_DeadLetter]:
    with connection.cursor() as cursor:
        cursor.execute(DEAD_LETTERS, [name])
        return [_DeadLetter._make(row) for row in cursor.fetchall()]


def _json(value: Any) -> dict[str, Any]:
    return json.loads(value) if isinstance(value, str) else value
