"""A copy of another service's data never goes back, in whatever sequence and how often its events come."""

from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from django.db import connection

from devstack.harness.databases import ServiceDatabase
from devstack.harness.wait import wait_until
from order_service import api
from order_service.models import PriceRow
from order_service.service import service as orders
from schemas.events import Event, ProductDelisted, ProductListed, ProductRepriced
from tests.support.consuming import consuming
from tests.support.inbox import dead_letters
from tests.support.relays import make_topic
from waybill.consumer import copies, handling, schema_ids
from waybill.consumer.message import Message
from waybill.contracts import codec
from waybill.observability.telemetry import new_id
from waybill.runtime.settings import settings

IDS = {ProductListed: 1, ProductRepriced: 2, ProductDelisted: 3}


@pytest.fixture
def prices(order_database: ServiceDatabase) -> ServiceDatabase:
    with psycopg.connect(order_database.owner_url, autocommit=True) as owner:
        for event, schema_id in IDS.items():
            owner.execute("INSERT INTO waybill_schema_id VALUES (%s, 1, %s)", [event.event_type, schema_id])
    schema_ids._writers.cache_clear()
    return order_database


def listed(price: int, sku: str = "LAMP") -> ProductListed:
    return ProductListed(sku=sku, name="Lamp", unit_price=price, currency="EUR")


def repriced(price: int, sku: str = "LAMP") -> ProductRepriced:
    return ProductRepriced(sku=sku, unit_price=price, currency="EUR")


def record(event: Event, version: object) -> tuple[bytes, dict[str, str]]:
    headers = {"ce_id": new_id(), "ce_type": event.event_type, "ce_sequence": str(version)}
    return codec.frame(IDS[type(event)], codec.encode(event)), headers


def read(*versions: tuple[Event, object]) -> None:
    """Handle the events in one batch, as ones that the inbox does not know."""
    batch = []
    for event, version in versions:
        value, headers = record(event, version)
        raw_headers = tuple((name, said.encode()) for name, said in headers.items())
        batch.append(Message(event.topic or "", 0, 0, event.aggregate_id.encode(), raw_headers, value, 0))
    handling.process(orders, batch, settings())


def price(sku: str = "LAMP") -> int | None:
    return PriceRow.objects.get(pk=sku).unit_price


def test_an_older_version_changes_nothing(prices):
    read((listed(100), 1))
    read((repriced(9900), 3))
    read((listed(100), 1), (repriced(294), 2))
    assert (price(), PriceRow.objects.get(pk="LAMP").source_version) == (9900, 3)


def test_the_newest_of_a_batch_is_kept_wherever_it_stands_in_it(prices):
    read((repriced(9900), 3), (listed(100), 1), (repriced(294), 2))
    assert price() == 9900


def test_a_delisted_product_is_not_listed_again_by_an_older_event(prices):
    read((listed(100), 1), (ProductDelisted(sku="LAMP"), 2))
    read((listed(100), 1))
    assert price() is None
    read((listed(300), 3))
    assert price() == 300


def test_the_same_version_again_mends_what_a_defect_left(prices):
    read((listed(100), 1))
    PriceRow.objects.update(unit_price=1)
    read((listed(100), 1))
    assert price() == 100


def test_a_price_kept_before_versions_were_takes_the_next_version(prices):
    with psycopg.connect(prices.service_url, autocommit=True) as older_release:
        older_release.execute("INSERT INTO prices (sku, unit_price, currency) VALUES ('LAMP', 100, 'EUR')")
    read((repriced(200), 7))
    read((repriced(150), 6))
    assert price() == 200


@pytest.mark.parametrize("version", ["", "0", "-1", "1.0", "one", "1\n", "\u0663", "9" * 5000])
def test_a_copy_without_a_version_is_a_dead_letter(prices, version):
    read((listed(100), version), (listed(200, "DESK"), 1))
    assert [(one["key"], "ce_sequence" in one["reason"]) for one in dead_letters()] == [("LAMP", True)]
    assert price("DESK") == 200


def test_orders_are_placed_at_the_newest_price_while_the_topic_is_read_again_from_its_start(prices, kafka, monkeypatch):
    """A new group has no offsets and an empty inbox: what is left after both were lost, and the positions too."""
    monkeypatch.setenv("WAYBILL_BATCH_SIZE", "5")
    topic = make_topic(kafka, partitions=1)
    history = [listed(1), *(repriced(n) for n in range(2, 300)), repriced(9900)]
    history += [listed(1, "DESK"), ProductDelisted(sku="DESK")]
    producer = Producer({"bootstrap.servers": kafka})
    versions = {"LAMP": 0, "DESK": 0}
    for event in history:
        versions[event.aggregate_id] += 1
        value, headers = record(event, versions[event.aggregate_id])
        producer.produce(topic, value, event.aggregate_id, headers=list(headers.items()))
    assert producer.flush(30) == 0

    def all_read(group: str) -> bool:
        with psycopg.connect(prices.superuser_url) as session:
            known = "SELECT count(*) FROM received WHERE msg_id LIKE %s"
            return session.execute(known, [f"{group}:%"]).fetchone() == (len(history),)

    def group() -> str:
        own = replace(orders, name=f"test-{uuid4().hex[:8]}")
        vars(own)["topics"] = [topic]
        with consuming(own, kafka):
            seen = []
            wait_until(lambda: seen.append(quoted()) or all_read(own.name), deadline_seconds=60, what="the topic read")
        return seen

    def quoted() -> int | None:
        order = api.OrderIn(lines=[api.LineIn(sku="LAMP", quantity=1)], payment_method="tok_ok")
        try:
            (line,), _ = api._priced(order)
        except api.Problem:
            return None
        return line.unit_price

    group()
    with psycopg.connect(prices.superuser_url, autocommit=True) as session:
        session.execute("DELETE FROM waybill_consumer_position")
    again = group()
    assert len(again) > 2
    assert set(again) == {9900}
    assert price("DESK") is None


def keep(producer: Producer, topic: str, event: Event, version: int, value: bytes | None = None) -> None:
    good, headers = record(event, version)
    producer.produce(topic, good if value is None else value, event.aggregate_id, headers=list(headers.items()))
    assert producer.flush(30) == 0


@pytest.mark.parametrize("lacks", ["an unreadable record", "its first record", "nothing"])
def test_of_a_topic_that_lacks_records_no_row_is_removed_and_none_set_to_an_older_version(
    prices, kafka, monkeypatch, lacks
):
    topic, producer = make_topic(kafka, partitions=1), Producer({"bootstrap.servers": kafka})
    for event in IDS:
        monkeypatch.setattr(event, "topic", topic)
    broken = b"\x00no record" if lacks == "an unreadable record" else None
    keep(producer, topic, listed(50, "BED"), 1, broken)
    keep(producer, topic, listed(100), 1)
    keep(producer, topic, listed(300, "DESK"), 1)
    if lacks == "its first record":
        admin = AdminClient({"bootstrap.servers": kafka})
        for one in admin.delete_records([TopicPartition(topic, 0, 1)]).values():
            one.result(30)
    read((listed(50, "BED"), 1), (listed(1, "DESK"), 1), (listed(7), 1), (repriced(8), 2))

    reasons, found = list[str](), list[copies.Different]()
    watch = copies.Watch(lambda done, total: None, found.append, reasons.append)
    told = settings().model_copy(update={"kafka_bootstrap": kafka})
    copies.rebuild(orders, told, watch, copies.Record("ann", "a restore went wrong"))
    connection.close()  # its temporary tables have the names of the real ones

    said = {
        "an unreadable record": f"{topic}/0/0 cannot be read",
        "its first record": f"{topic}/0 begins at offset 1",
        "nothing": "no reason",
    }
    assert [reason for reason in reasons if not reason.startswith(said[lacks])] == []
    assert bool(reasons) == (lacks != "nothing")
    if lacks == "nothing":
        assert {one.key for one in found} == {"DESK", "LAMP"}
        assert (price("BED"), price("DESK"), price("LAMP")) == (50, 300, 100)
    else:
        assert {one.key for one in found} == {"DESK"}
        assert (price("BED"), price("DESK"), price("LAMP")) == (50, 300, 8)
