"""Spans of messages that are handled: one a message, in the trace of its event, and one for what they share."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from waybill.consumer.message import Message
from waybill.deciders.outcomes import Unreadable
from waybill.tracing import spans


@contextmanager
def processed(group: str, messages: Sequence[Message]) -> Generator[None]:
    """Have spans open while messages are handled in one transaction; an exception fails those of all."""
    begun = {_id(one): span for one in messages if (span := _begin(group, one)) is not None} if spans.is_on() else {}
    if not begun:
        yield
        return
    traceparents = {id_: str(spans.traceparent_of(span)) for id_, span in begun.items()}
    alone, counted = len(messages) == 1, {"messaging.batch.message_count": len(messages)}
    try:
        with (
            spans.processing(traceparents),
            spans.joined(f"batch {group}", [*traceparents.values()], alone=alone, attributes=counted) as batch,
        ):
            if batch is not None and not alone:
                for span in begun.values():
                    spans.link(span, batch)
            yield
    except BaseException as error:
        for span in begun.values():
            spans.fail(span, error)
        raise
    finally:
        for span in begun.values():
            span.end()


def _id(message: Message) -> str:
    try:
        return message.event_id
    except Unreadable:
        return message.place


def _begin(group: str, message: Message) -> spans.Span | None:
    traceparent = message.headers.get("traceparent")
    if not spans.is_sampled(traceparent):
        return None
    return spans.begin(
        f"process {message.topic}",
        "consumer",
        parent=traceparent,
        attributes={
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": message.topic,
            "messaging.destination.partition.id": str(message.partition),
            "messaging.kafka.offset": message.offset,
            "messaging.consumer.group.name": group,
            "messaging.message.id": _id(message),
            "waybill.aggregate_id": message.key,
            "waybill.event_type": message.event_type,
            "waybill.correlation_id": message.headers.get("ce_correlationid"),
        },
    )
