"""The limit: a confluent-kafka producer that sends ready bytes from memory, with the relay's headers and keys.

As a program it builds its records, and then sends as many as each line on its standard input says, counting deliveries
in the way that the relay does. No database, no cursor, no order to keep between batches: who brings rows from
PostgreSQL in Python cannot be faster.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from confluent_kafka import KafkaError, Message, Producer

from benchmarks.peers.process import Peer
from benchmarks.stage import Stage

RECORDS: Final = 20_000  # different ones, sent round and round
IN_QUEUE: Final = 20_000
# The best of linger 0, 5; batch.size 1 MB, 1,000,000 records; in flight 1, 5; queue 4,000 to 100,000.
SETTINGS: Final[dict[str, Any]] = {
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "lz4",
    "partitioner": "murmur2_random",
    "linger.ms": 5,
    "batch.size": 1_000_000,
    "max.in.flight": 5,
}
# How the relay sets its own, for the sake of order and of latency; see outbox_relay/relay/kafka/producer.py.
AS_THE_RELAY: Final[dict[str, Any]] = {"linger.ms": 0, "max.in.flight": 1, "enable.gapless.guarantee": True}


class Bare(Peer):
    """The program below, waiting for its next number."""

    def __init__(
        self, stage: Stage, topic: str, name: str = "bare", changes: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        environment = {"BARE_BOOTSTRAP": stage.kafka, "BARE_TOPIC": topic, "BARE_SETTINGS": json.dumps(dict(changes))}
        command = [sys.executable, "-m", "benchmarks.peers.bare"]
        super().__init__(name, command, environment, stage.folder / f"{name}.log", stdin=subprocess.PIPE)

    def hold(self) -> None:
        """Do nothing: it waits by itself."""

    def release(self, records: int = 0) -> None:
        """Let it send so many."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{records}\n".encode())
        self.process.stdin.flush()


def ready() -> list[tuple[bytes, str, list[tuple[str, bytes]]]]:
    """Return value, key and headers of records as the relay makes them."""
    from benchmarks.rows import SCHEMA_ID, pool
    from schemas.events import OrderPlaced
    from waybill.contracts.codec import frame
    from waybill.observability.telemetry import new_id

    rows = list(pool())
    constant = [
        ("ce_specversion", b"1.0"),
        ("ce_source", b"/waybill/order_service"),
        ("content-type", b"application/avro"),
        ("ce_type", OrderPlaced.event_type.encode()),
    ]
    records: list[tuple[bytes, str, list[tuple[str, bytes]]]] = []
    for number in range(RECORDS):
        _, payload, metadata = rows[number % len(rows)]
        cause = json.loads(metadata)
        key = new_id() if number % 3 == 0 else records[-1][1]
        own = {
            "ce_id": new_id(),
            "ce_subject": key,
            "ce_time": "2026-01-01T00:00:00.000000Z",
            "ce_sequence": str(number % 3 + 1),
            "ce_correlationid": cause["correlation_id"],
            "ce_causationid": cause["causation_id"],
            "traceparent": cause["traceparent"],
        }
        headers = [*constant, *((name, value.encode()) for name, value in own.items())]
        records.append((frame(SCHEMA_ID, payload), key, headers))
    return records


class Count:
    """What was delivered."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.error: KafkaError | None = None

    def delivered(self, error: KafkaError | None, _: Message) -> None:
        """Count one."""
        if error is None:
            self.acknowledged += 1
        else:
            self.error = error


def main() -> None:
    """Send as many as each line says."""
    topic, records = os.environ["BARE_TOPIC"], ready()
    changes = json.loads(os.environ["BARE_SETTINGS"])
    queue = int(changes.pop("queue", IN_QUEUE))
    producer = Producer({"bootstrap.servers": os.environ["BARE_BOOTSTRAP"], **SETTINGS, **changes})
    for line in sys.stdin:
        send(producer, topic, records, int(line), queue)


def send(producer: Producer, topic: str, records: list[Any], total: int, queue: int) -> None:
    """Send so many records, with no more than `queue` of them unacknowledged."""
    count, sent = Count(), 0
    produce, delivered, poll = producer.produce, count.delivered, producer.poll
    while sent < total:
        chunk = min(1_000, total - sent)
        first = sent % RECORDS
        for value, key, headers in records[first : first + chunk]:
            produce(topic, value, key, headers=headers, on_delivery=delivered)
        sent += chunk
        poll(0)
        while sent - count.acknowledged > queue and count.error is None:
            poll(0.01)
    while count.acknowledged < sent and count.error is None:
        poll(0.01)
    assert count.error is None, count.error


if __name__ == "__main__":
    main()
