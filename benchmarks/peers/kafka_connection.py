"""What django-outbox-pattern's producer calls of a STOMP connection, done by a Kafka producer."""

import os
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Producer

KEY = "key"  # the header that names the record's key; STOMP has none


class KafkaConnection:
    """Send without waiting for each record, as STOMP without receipts does; wait for all of them at the end."""

    def __init__(self, **_: Any) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP"],
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": 5,
            }
        )
        self._connected = False

    def connect(self, **_: Any) -> None:
        """Nothing to do: the producer finds its broker by itself."""
        self._connected = True

    def is_connected(self) -> bool:
        """Tell whether `connect` came after the last `disconnect`."""
        return self._connected

    def send(self, *, body: str, destination: str, headers: Mapping[str, Any]) -> None:
        """Hand one message over."""
        named = [(name, str(value)) for name, value in headers.items() if name != KEY]
        self._producer.produce(destination, body, headers[KEY], headers=named)
        self._producer.poll(0)

    def disconnect(self) -> None:
        """Wait until everything has arrived."""
        self._producer.flush()
        self._connected = False
