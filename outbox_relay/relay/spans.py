"""Spans of published records, made once their batch was acknowledged: what is sent costs nothing more on its way."""

from collections.abc import Sequence

from outbox_relay.relay.kafka.producer import Batch
from outbox_relay.relay.kafka.records import TRACE, Fetched, Row
from waybill.tracing import spans


def traced(rows: Sequence[Fetched]) -> Sequence[Fetched]:
    """Return the rows whose trace is recorded."""
    return [row for row in rows if spans.is_sampled(row[TRACE])] if spans.is_on() else ()


def published(service: str, batch: Batch, acknowledged_ns: int) -> None:
    """Make a span of each traced record, from its hand-over to the producer to its acknowledgement."""
    for row in map(Row._make, batch.traced):
        span = spans.begin(
            f"publish {row.topic}",
            "client",  # the producer is whoever appended the event
            parent=row.traceparent,
            started_ns=batch.sent_ns,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.type": "send",
                "messaging.operation.name": "publish",
                "messaging.destination.name": row.topic,
                "messaging.message.id": row.event_id,
                "messaging.batch.message_count": batch.rows,
                "waybill.aggregate_id": row.aggregate_id,
                "waybill.event_type": row.event_type,
                "waybill.position": row.position,
                "waybill.service": service,
            },
        )
        if span is not None:
            span.end(acknowledged_ns)
