"""Records for `outbox verify`, and what it says."""

from typing import Any

from confluent_kafka import Producer

from tests.support.outbox_command import Ended, outbox, settings
from tests.support.relays import Outbox, append, relay


def verify(own: Outbox, *arguments: str) -> tuple[Ended, dict[str, Any], list[dict[str, Any]]]:
    """Verify without the fold: these payloads are no events. Returns the counts, and each fault."""
    done = outbox("verify", "--no-rows", "--json", *arguments, **settings(own.kafka, shop=own.database.service_url))
    *faults, counts = done.lines()
    return done, counts, faults


def published(own: Outbox) -> None:
    """Publish versions 1 to 3 of two aggregates."""
    with own.connect() as writer, relay(own):
        for version in (1, 2, 3):
            append(writer, own.topic, "a", version)
            append(writer, own.topic, "b", version)
        own.wait_for_cursor(6)


def send(own: Outbox, key: str, event_id: object, version: int | str | bytes) -> tuple[int, int]:
    """Put a record on the topic past the relay, where the relay puts that key; returns its partition and offset."""
    at: list[tuple[int, int]] = []
    producer = Producer({"bootstrap.servers": own.kafka, "partitioner": "murmur2_random"})
    headers: Any = [("ce_id", str(event_id)), ("ce_sequence", version if isinstance(version, bytes) else str(version))]
    delivered = lambda _, message: at.append((message.partition(), message.offset()))  # noqa: E731 - what Kafka calls
    producer.produce(own.topic, b"x", key, headers=headers, on_delivery=delivered)
    assert producer.flush(10) == 0
    return at[0]
