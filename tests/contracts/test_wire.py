"""What the relay really publishes, held against what strangers use: the CloudEvents SDK and Confluent's deserializer.

Nothing of ours reads here but the topics' and the events' names.
"""

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import confluent_kafka
import httpx2
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.base import Format
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka.schema_registry import (
    SchemaRegistryClient,
    dual_schema_id_deserializer,
    prefix_schema_id_deserializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from devstack.harness.stack import Stack, order_at_rest, sent
from devstack.harness.wait import wait_until
from schemas.events import EVENTS
from tests.support.schema_samples import CURRENT

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = re.compile(rf"00-{TRACE_ID}-[0-9a-f]{{16}}-[0-9a-f]{{2}}")
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
PREFIX = "waybill."
EXPECTED = {
    *("order.OrderPlaced", "order.OrderReserved", "order.OrderCharged", "order.OrderConfirmed"),
    *("order.OrderCancelled", "inventory.StockReserved", "inventory.StockRejected", "inventory.StockCommitted"),
    *("payment.PaymentCharged", "notification.NotificationSent", "inventory.ProductListed", "inventory.StockReceived"),
}


class AsItCame(Format):
    """Leave the data of an event as bytes: reading Avro is the deserializer's part."""

    def read(self, event_factory: Any, data: Any) -> Any:
        raise NotImplementedError

    def write(self, event: Any) -> bytes:
        raise NotImplementedError

    def write_data(self, data: Any, datacontenttype: str | None) -> bytes:
        raise NotImplementedError

    def read_data(self, body: bytes, datacontenttype: str | None) -> bytes:  # noqa: ARG002 - the SDK's signature
        return body

    def get_content_type(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True)
class Published:
    """The records of an order that ended well, of one that found too little stock, and of their product."""

    keys: tuple[str, str, str]
    records: Mapping[tuple[str, str], confluent_kafka.Message]

    def __getitem__(self, name: str) -> confluent_kafka.Message:
        """One of the type; the order's that ended well where both have one."""
        return next(self.records[name, key] for key in self.keys if (name, key) in self.records)


def _key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


REGISTRY_SECONDS = 60


@pytest.fixture(scope="module")
def published(stack: Stack) -> Published:
    """Trade as a client does, and read the topics as a subscriber does."""
    sku = f"W-{uuid.uuid4().hex[:10]}"
    traced = {"traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01", "tracestate": "shop=1"}
    with (
        stack.client("order") as customer,
        stack.client("inventory", stack.state["tokens"]["staff"]) as staff,
        stack.client("notification") as me,
    ):
        sent(me.put("/v1/contacts/me", json={"email": "ann@example.com"}), 200, 201)
        listing = {"sku": sku, "name": "A lamp", "unit_price": 1999, "currency": "EUR"}
        sent(staff.post("/v1/products", json=listing, headers={**_key(), **traced}), 201)
        stock = {"kind": "received", "quantity": 3, "reason": "delivery"}
        sent(staff.post(f"/v1/products/{sku}/stock", json=stock, headers={**_key(), **traced}), 200)

        def place(quantity: int) -> Any:
            body = {"lines": [{"sku": sku, "quantity": quantity}], "payment_method": "tok_ok"}
            answer = customer.post("/v1/orders", json=body, headers={**_key(), **traced})
            return answer.json() if answer.status_code == 202 else None  # the price list is a moment behind

        order = wait_until(lambda: place(1), deadline_seconds=30, what="an order that is taken")
        order_at_rest(customer, order["id"])
        short = place(5)
        order_at_rest(customer, short["id"])
    keys = (order["id"], short["id"], sku)
    return Published(keys, _read(stack.kafka, keys))


def _read(bootstrap: str, keys: tuple[str, ...]) -> dict[tuple[str, str], confluent_kafka.Message]:
    """The first records of these keys by type and key, once each expected type is among them."""
    topics = sorted({kind.topic for kind in EVENTS.values() if kind.topic})
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": f"test-{uuid.uuid4()}", "auto.offset.reset": "earliest"}
    )
    found: dict[tuple[str, str], confluent_kafka.Message] = {}
    seen: list[str] = []

    def look() -> bool:
        for message in consumer.consume(500, 0.5):
            kind = dict(message.headers() or []).get("ce_type", b"").decode()
            key = (message.key() or b"").decode(errors="replace")
            if message.error() is None and key in keys:
                found.setdefault((kind.removeprefix(PREFIX), key), message)
        seen[:] = sorted(EXPECTED - {kind for kind, _ in found})
        return not seen

    try:
        consumer.subscribe(topics)
        wait_until(look, deadline_seconds=60, what="a record of each type; still missing", seen=seen)
    finally:
        consumer.close()
    return found


@pytest.fixture(scope="module")
def registry(stack: Stack) -> Iterator[SchemaRegistryClient]:
    url = f"{stack.urls['registry']}/apis/ccompat/v7"
    with SchemaRegistryClient({"url": url, "timeout": REGISTRY_SECONDS}) as client:  # it waits for ever otherwise
        yield client


def _event(message: confluent_kafka.Message) -> CloudEvent:
    """The record as the CloudEvents SDK reads it; it refuses what breaks the specification."""
    headers = dict(message.headers() or [])
    read = from_binary(KafkaMessage(headers, message.key(), message.value() or b""), AsItCame(), CloudEvent)
    assert isinstance(read, CloudEvent)
    return read


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_record_is_a_cloud_event(published: Published, name: str) -> None:
    message = published[name]
    event = _event(message)
    assert event.get_specversion() == "1.0"
    assert event.get_type() == f"{PREFIX}{name}"
    assert event.get_source() == f"/waybill/{name.partition('.')[0]}_service"
    assert UUID7.fullmatch(event.get_id())
    assert event.get_datacontenttype() == "application/avro"
    assert event.get_subject() == event.get_extension("partitionkey") == (message.key() or b"").decode()
    time = event.get_time()
    assert time is not None
    assert timedelta(0) <= datetime.now(UTC) - time < timedelta(minutes=30)
    assert event.get_data() == message.value()
    assert int(event.get_extension("sequence")) >= 1
    extensions = {"correlationid", "causationid", "sequence", "partitionkey"}
    standard = {"specversion", "type", "source", "id", "datacontenttype", "subject", "time"}
    assert event.get_attributes().keys() <= extensions | standard, "a header that no page speaks of"


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_record_carries_the_trace_of_the_request_that_led_to_it(published: Published, name: str) -> None:
    headers = {key: value.decode() for key, value in published[name].headers() or []}
    assert TRACEPARENT.fullmatch(headers["traceparent"])
    assert headers["tracestate"] == "shop=1"
    assert headers["ce_correlationid"]


def test_each_event_names_the_one_that_caused_it(published: Published) -> None:
    for effect, cause in (
        ("inventory.StockReserved", "order.OrderPlaced"),
        ("order.OrderReserved", "inventory.StockReserved"),
        ("payment.PaymentCharged", "order.OrderReserved"),
        ("order.OrderConfirmed", "payment.PaymentCharged"),
    ):
        led, ids = _event(published[effect]), {m: _event(published[m]) for m in (cause, effect)}
        if effect != "payment.PaymentCharged":  # caused by the private event that asked for the charge
            assert led.get_extension("causationid") == ids[cause].get_id()
        assert led.get_extension("correlationid") == ids[cause].get_extension("correlationid")


def _deserializer(registry: SchemaRegistryClient, how: Any, version: int | None, name: str) -> AvroDeserializer:
    reader = None if version is None else json.dumps(CURRENT[f"{PREFIX}{name}", version].schema)
    return AvroDeserializer(
        registry, reader, conf={"schema.id.deserializer": how, "subject.name.strategy.type": "TOPIC_RECORD"}
    )


@pytest.mark.parametrize("how", [prefix_schema_id_deserializer, dual_schema_id_deserializer])
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_confluents_deserializer_reads_a_record(
    published: Published, registry: SchemaRegistryClient, name: str, how: Any
) -> None:
    message = published[name]
    context = SerializationContext(message.topic() or "", MessageField.VALUE, message.headers())
    read = _deserializer(registry, how, None, name)(message.value(), context)
    assert isinstance(read, dict)
    key = CURRENT[f"{PREFIX}{name}", 1].schema["key"]
    assert str(read[key]) == (message.key() or b"").decode()
    assert read.keys() == {field["name"] for field in _current(name)["fields"]}


def _current(name: str) -> Mapping[str, Any]:
    event_type = f"{PREFIX}{name}"
    return CURRENT[event_type, EVENTS[event_type].schema_version].schema


def test_confluents_deserializer_reads_a_record_as_it_comes_out_of_the_box(
    published: Published, registry: SchemaRegistryClient
) -> None:
    message = published["order.OrderPlaced"]
    context = SerializationContext(message.topic() or "", MessageField.VALUE, message.headers())
    read = AvroDeserializer(registry)(message.value(), context)
    assert isinstance(read, dict)
    assert str(read["order_id"]) == (message.key() or b"").decode()


def test_the_second_versions_say_what_they_are_there_for(published: Published, registry: SchemaRegistryClient) -> None:
    charged, rejected = (
        _deserializer(registry, dual_schema_id_deserializer, None, name)(published[name].value())
        for name in ("payment.PaymentCharged", "inventory.StockRejected")
    )
    assert isinstance(charged, dict)
    assert isinstance(rejected, dict)
    assert charged["provider"] == "simulator"
    (shortage,) = rejected["shortages"]
    assert shortage == {"sku": published.keys[2], "requested": 5, "available": 2, "on_hand": 2}


@pytest.mark.parametrize("name", ["payment.PaymentCharged", "inventory.StockRejected"])
def test_a_subscriber_with_the_first_version_reads_the_second(
    published: Published, registry: SchemaRegistryClient, name: str
) -> None:
    read = _deserializer(registry, dual_schema_id_deserializer, 1, name)(published[name].value())
    assert isinstance(read, dict)
    assert read.keys() == {field["name"] for field in CURRENT[f"{PREFIX}{name}", 1].schema["fields"]}
    assert all("on_hand" not in line for line in read.get("shortages", ()))


def test_the_schema_of_a_record_stands_under_the_subject_of_topic_and_record(
    published: Published, stack: Stack
) -> None:
    with httpx2.Client(base_url=f"{stack.urls['registry']}/apis/ccompat/v7/") as registry:
        for name in EXPECTED:
            message = published[name]
            schema_id = int.from_bytes((message.value() or b"")[1:5], "big")
            subject = f"{message.topic()}-{PREFIX}{name}"
            latest = registry.get(f"subjects/{subject}/versions/latest").raise_for_status().json()
            assert (latest["id"], latest["version"]) == (schema_id, EVENTS[f"{PREFIX}{name}"].schema_version)
