"""Dead letters, handled again in sequence once what stopped them is repaired.

Key by key, first to last, each in one transaction: its row goes, and inbox row, rows and events come as if the record
had just arrived. One that fails again stays, with its new reason, and so do those behind it; other keys flow.

The consumer may run meanwhile. It reads which keys are blocked with a share lock on their rows, so it waits for a
release under way, and then finds the key free, or blocked by what is left: nothing overtakes.
"""

import json
from collections.abc import Collection, Iterator
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from waybill.consumer import handling
from waybill.consumer.subscriber import Subscriber
from waybill.database.sqlstate import may_succeed_later
from waybill.deciders import unit_of_work
from waybill.deciders.outcomes import SchemaUnknown
from waybill.inbox import inbox
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


def redrive(
    subscriber: Subscriber, settings: Settings, only: Collection[UUID] | None = None
) -> Iterator[MessageRedriven]:
    """Handle all dead letters, or these rows, yielding what comes of each message. Raises what `may_succeed_later`.

    None overtakes an earlier one of its key that is not among them. What came meanwhile behind one of these is
    handled too.
    """
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
                failure = _try(subscriber, one.id, settings)
            elif only is None or one.id in only:
                failure = inbox.BEHIND
            else:
                continue
            (stuck if failure else freed).add(one.ordering_key)
            yield MessageRedriven(one.topic, one.key, one.place, one.event_type, failure)
        waiting = [
            one for one in _dead_letters(subscriber.name) if one.id not in seen and one.ordering_key in freed - stuck
        ]


def report_redriven(subscriber: Subscriber, settings: Settings, request: RedriveRequest | None) -> int:
    """Handle the dead letters requested, or all, and report each; returns the exit code."""
    only = {UUID(one) for one in request.only} if request else None
    left = 0
    with reports.channel() as report, reports.failures_reported(report):
        for one in redrive(subscriber, settings, only):
            left += one.failure is not None
            report(one)
    return reports.DIFFERS if left else reports.DONE


def _try(subscriber: Subscriber, row_id: UUID, settings: Settings) -> str | None:
    try:
        _release(subscriber, row_id, settings)
    except Exception as error:
        if may_succeed_later(error):
            raise
        reason = f"{type(error).__name__}: {error}"
        inbox.note_reason(row_id, reason, error.schema_id if isinstance(error, SchemaUnknown) else None)
        return reason
    return None


@unit_of_work.retried
def _release(subscriber: Subscriber, row_id: UUID, settings: Settings) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(TAKE, [row_id])
            taken = cursor.fetchone()
        if taken is not None:  # else another operator was quicker
            message = inbox.read_stored(*map(_json, taken))
            with processed(subscriber.name, [message]):
                handling.handle(subscriber, [message], settings)


def _dead_letters(name: str) -> list[_DeadLetter]:
    with connection.cursor() as cursor:
        cursor.execute(DEAD_LETTERS, [name])
        return [_DeadLetter._make(row) for row in cursor.fetchall()]


def _json(value: Any) -> dict[str, Any]:
    return json.loads(value) if isinstance(value, str) else value
