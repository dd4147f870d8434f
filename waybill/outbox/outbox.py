"""The append-only outbox; reaches no Kafka.

An event is encoded here, inside the transaction that changes the row, so that one which breaks its contract can never
be committed. The relay publishes it later; the wake-up signal only makes that sooner.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction

from waybill.consumer import schema_ids
from waybill.contracts import codec
from waybill.contracts.event import Event
from waybill.contracts.topics import topics
from waybill.observability.telemetry import Cause, new_id
from waybill.runtime import wake_up
from waybill.runtime.settings import OutboxEnvironment, read
from waybill.tracing import spans

HEADER_BYTES = 2_048  # what the relay adds to a payload: key, framing, headers

# Positions follow the array's sequence, so versions of one aggregate get rising positions. The guard on
# synchronous_commit keeps out rows that another session could read, the relay publish, and a crash then remove.
APPEND = """
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                    schema_version, payload, metadata)
SELECT event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version, payload,
       metadata::jsonb
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[], %s::int[], %s::bytea[], %s::text[])
     WITH ORDINALITY AS new (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                             schema_version, payload, metadata, nth)
WHERE current_setting('synchronous_commit') <> 'off'{and_written}
ORDER BY nth
"""
# Evaluated before the first row is inserted, so `written` is done by the time that the events take their positions;
# PostgreSQL would run statements that nothing asks for after the others.
AND_WRITTEN: Final = " AND (SELECT count(*) FROM written) >= 0"

Statement = tuple[str, Sequence[Any]]
"""One that writes, without a RETURNING, and its values."""

HISTORY = """
SELECT event_id, aggregate_version, event_type, schema_version, payload, recorded_at
FROM waybill_outbox WHERE aggregate_type = %s AND aggregate_id = %s AND aggregate_version > %s
ORDER BY aggregate_version
"""


class AppendRefused(Exception):
    """The events could not be appended without breaking a promise; the transaction must be rolled back."""


@dataclass(frozen=True, slots=True)
class Appended:
    """An event with its place in its aggregate's log and what led to it."""

    event: Event
    version: int
    cause: Cause
    event_id: str = field(default_factory=new_id)


def write(events: Sequence[Appended], using: str = DEFAULT_DB_ALIAS, *, after: Sequence[Statement] = ()) -> None:
    """Write events to the outbox of a database, in the transaction that is open there.

    `after`: what is written before them, in this sequence and in the same round trip; none sees what another wrote.
    Raises AppendRefused outside a transaction, with synchronous_commit off, or where an event is larger than its topic
    takes; TypeError or ValueError where an event breaks its schema.
    """
    if not events:
        with connections[using].cursor() as cursor:
            for statement in after:
                cursor.execute(*statement)
        return
    refuse_without_transaction(using)
    begun = [_begin(appended) for appended in events] if spans.is_on() else [None] * len(events)
    rows = [_row(appended, span) for appended, span in zip(events, begun, strict=True)]
    with connections[using].cursor() as cursor:
        text = _append_after(tuple(text for text, _ in after))
        before = [value for _, values in after for value in values]
        cursor.execute(text, [*before, *(list(column) for column in zip(*rows, strict=True))])
        if cursor.rowcount != len(rows):
            raise AppendRefused("synchronous_commit is off: a crash could remove what was already published")
    if any(begun):
        transaction.on_commit(lambda: [span.end() for span in begun if span], using)  # none of what is rolled back
    transaction.on_commit(_wake_relay, using)


@cache
def _append_after(texts: tuple[str, ...]) -> str:
    """Return one statement that appends once these have written."""
    if not texts:
        return APPEND.format(and_written="")
    parts = [f"part_{n} AS ({text} RETURNING 1)" for n, text in enumerate(texts)]
    written = " UNION ALL ".join(f"SELECT 1 FROM part_{n}" for n in range(len(texts)))  # noqa: S608 - names of our own
    return f"WITH {', '.join(parts)}, written AS ({written}) {APPEND.format(and_written=AND_WRITTEN)}"


def refuse_without_transaction(using: str) -> None:
    """Raise AppendRefused outside a transaction; that of a TestCase does not count, since production has none there."""
    opened: Any = connections[using]
    if all(block._from_testcase for block in opened.atomic_blocks):  # noqa: SLF001 - as Django's durable blocks do
        raise AppendRefused("an event is appended in the transaction of its state change: with transaction.atomic(): …")


def _begin(appended: Appended) -> spans.Span | None:
    """Begin the span of an event, which is the parent of whatever follows from it; it ends with the commit."""
    event, here = appended.event, spans.current()
    parent = appended.cause.traceparent
    # A transaction that several traces share has a trace of its own.
    joins = spans.is_sampled(here) and parent is not None and spans.ids(here)["trace_id"] != parent[3:35]
    return spans.begin(
        f"append {type(event).__name__}",
        "producer",
        parent=parent or "",  # what has none is in no trace, whatever is open here
        links=[here] if joins and here else (),
        attributes={
            "messaging.system": "kafka" if event.topic else None,
            "messaging.operation.type": "create" if event.topic else None,
            "messaging.destination.name": event.topic,
            "messaging.message.id": appended.event_id,
            "waybill.aggregate_id": event.aggregate_id,
            "waybill.event_type": event.event_type,
            "waybill.version": appended.version,
            "waybill.correlation_id": appended.cause.correlation_id,
        },
    )


def _row(appended: Appended, span: spans.Span | None) -> tuple[Any, ...]:
    event = appended.event
    metadata = appended.cause.metadata()
    if span is not None:
        metadata["traceparent"] = str(spans.traceparent_of(span))
    payload = codec.encode(event)
    limit = _limits().get(event.topic)
    if limit is not None and len(payload) + HEADER_BYTES > limit:
        raise AppendRefused(
            f"{event.event_type} {event.aggregate_id} takes {len(payload)} bytes; {event.topic} takes {limit}"
        )
    return (
        appended.event_id,
        event.topic,
        event.aggregate_type,
        event.aggregate_id,
        appended.version,
        event.event_type,
        event.schema_version,
        payload,
        json.dumps(metadata),
    )


@cache
def _limits() -> dict[str | None, int]:
    return {topic.name: topic.max_message_bytes for topic in topics()}


def _wake_relay() -> None:
    wake_up.send(read(OutboxEnvironment).relay_wake_up)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it stands in the outbox."""

    event_id: str
    version: int
    event: Event
    recorded_at: datetime


def history(aggregate_type: str, aggregate_id: str, *, after: int = 0) -> list[Recorded]:
    """Return the events of one aggregate after a version, first to last."""
    with connection.cursor() as cursor:
        cursor.execute(HISTORY, [aggregate_type, aggregate_id, after])
        return [
            Recorded(str(event_id), version, schema_ids.decode(event_type, schema_version, bytes(payload)), recorded_at)
            for event_id, version, event_type, schema_version, payload, recorded_at in cursor.fetchall()
        ]
