"""The events of an order, as Avro of this repository's schemas on topics of the engine's own; acks=all."""

import io
import json
import struct
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import KafkaError, Message, Producer

FRAME = struct.Struct(">BI")
SCHEMA_ID = 1  # nobody looks it up: what reads these topics looks at the headers alone
LONGEST_SECONDS = 30
TYPES = {
    "OrderPlaced": ("order.events.v1", 1),
    "OrderReserved": ("order.events.v1", 1),
    "OrderCharged": ("order.events.v1", 1),
    "OrderConfirmed": ("order.events.v1", 1),
    "StockReserved": ("inventory.events.v1", 1),
    "StockCommitted": ("inventory.events.v1", 1),
    "PaymentCharged": ("payment.events.v1", 2),
    "NotificationSent": ("notification.events.v1", 1),
}


class Topics:
    """A producer, and the schemas of what it sends."""

    def __init__(self, brokers: str, prefix: str, schemas: Path) -> None:
        self._producer = Producer(
            {"bootstrap.servers": brokers, "acks": "all", "enable.idempotence": True, "linger.ms": 0}
        )
        self._prefix = prefix
        self._schemas: dict[str, Any] = {}
        for name, (topic, version) in TYPES.items():
            text = (schemas / topic / f"{name}.v{version}.avsc").read_text()
            self._schemas[name] = fastavro.parse_schema(json.loads(text))
        threading.Thread(target=self._poll, daemon=True).start()

    def publish(self, order_id: str, *events: tuple[str, Mapping[str, Any]]) -> None:
        """Send events of an order, in sequence, and return once all are acknowledged."""
        sent = [self._send(order_id, name, fields) for name, fields in events]
        for one in sent:
            one.result(LONGEST_SECONDS)

    def _send(self, order_id: str, name: str, fields: Mapping[str, Any]) -> "Future[None]":
        acknowledged: Future[None] = Future()

        def reported(error: KafkaError | None, _: Message) -> None:
            if error is None:
                acknowledged.set_result(None)
            else:
                acknowledged.set_exception(RuntimeError(error.str()))

        written = io.BytesIO()
        fastavro.schemaless_writer(written, self._schemas[name], {"order_id": order_id, **fields})
        topic, _ = TYPES[name]
        headers = {
            "ce_id": str(uuid.uuid4()),
            "ce_type": f"waybill.{topic.partition('.')[0]}.{name}",
            "ce_source": "/peer",
            "ce_specversion": "1.0",
            "ce_correlationid": order_id,
            "content-type": "application/avro",
        }
        self._producer.produce(
            self._prefix + topic,
            FRAME.pack(0, SCHEMA_ID) + written.getvalue(),
            order_id,
            headers=list(headers.items()),
            on_delivery=reported,
        )
        return acknowledged

    def _poll(self) -> None:
        while True:
            self._producer.poll(1)
