"""The read model is what the topics tell, by the real consumer; and can be built anew from them while it stands."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from confluent_kafka import Producer
from django.db import connection

from console_service.models import EventRow, OrderRow
from console_service.read_model import rebuilding
from console_service.service import service
from devstack.harness.wait import wait_until
from tests.support.broker import Broker
from tests.support.console import confirmed, message, note
from tests.support.consuming import consuming
from tests.support.orders import placed
from waybill.consumer import schema_ids
from waybill.contracts import codec
from waybill.contracts.contracts import load
from waybill.contracts.topics import topics
from waybill.kafka.create_topics import create_missing
from waybill.runtime.settings import settings


@pytest.fixture
def registered(console_database) -> dict[tuple[str, int], int]:
    """The schema ids, as registration leaves them."""
    contracts = [one for one in load() if one.topic is not None]
    with psycopg.connect(console_database.owner_url, autocommit=True) as owner:
        for schema_id, one in enumerate(contracts, 1):
            owner.execute("INSERT INTO waybill_schema_id VALUES (%s, %s, %s)", [one.event_type, one.version, schema_id])
    schema_ids._writers.cache_clear()
    return {(one.event_type, one.version): schema_id for schema_id, one in enumerate(contracts, 1)}


@pytest.fixture
def produce(registered, broker: Broker):
    """Give what puts events on their topics."""
    create_missing(topics(), broker.bootstrap, 60)
    producer = Producer({"bootstrap.servers": broker.bootstrap})

    def put(events) -> None:
        begin = datetime.now(tz=UTC) - timedelta(seconds=60)
        for number, (event, version) in enumerate(events):
            newest = max(v for name, v in registered if name == event.event_type)
            value = codec.frame(registered[event.event_type, newest], codec.encode(event))
            one = message(event, version, begin + timedelta(seconds=number))
            producer.produce(one.topic, value, one.raw_key, headers=list(one.raw_headers))
        assert producer.flush(30) == 0

    return put


def orders(*ids: UUID) -> list[dict]:
    return list(OrderRow.objects.filter(pk__in=ids).order_by("pk").values())


def status(order_id: UUID) -> str | None:
    return OrderRow.objects.filter(pk=order_id).values_list("status", flat=True).first()


def test_the_consumer_notes_what_the_topics_tell_and_a_rebuild_mends_what_differs(produce, broker):
    one, other, long_ago = uuid4(), uuid4(), uuid4()
    note([(placed(long_ago), 1)])  # whose first event no topic has any more
    produce(confirmed(one))
    with consuming(service, broker.bootstrap):
        wait_until(lambda: status(one) == "CONFIRMED", deadline_seconds=60, what="the order noted")
    expected = orders(one, long_ago)
    OrderRow.objects.filter(pk=one).update(status="PENDING", total=1, version=99)
    EventRow.objects.filter(order_id=one, event_type="OrderPlaced").delete()
    produce(confirmed(other))
    lines: list[str] = []
    rebuilding.rebuild(settings().model_copy(update={"kafka_bootstrap": broker.bootstrap}), lines.append)
    assert orders(one, long_ago) == expected
    assert status(other) == "CONFIRMED"
    assert EventRow.objects.filter(order_id=one).count() == 7
    assert lines[-1].endswith("records")
    # The consumer goes on where it was: it meets what the rebuild has read, and changes nothing by it.
    after = orders(one, other, long_ago)
    with consuming(service, broker.bootstrap):
        wait_until(lambda: _received(other) >= 7, deadline_seconds=60, what="the other order's events received")
    assert orders(one, other, long_ago) == after


def _received(order_id: UUID) -> int:
    ids = [f"console_service:{one}" for one in EventRow.objects.filter(order_id=order_id).values_list("pk", flat=True)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM received WHERE msg_id = ANY(%s)", [ids])
        return cursor.fetchone()[0]


def test_a_rebuild_without_the_broker_leaves_all_as_it_is(registered):
    one = uuid4()
    note(confirmed(one))
    before = orders(one)
    with pytest.raises(rebuilding.Failed):
        rebuilding.rebuild(settings().model_copy(update={"kafka_bootstrap": "127.0.0.1:1"}), print)
    assert orders(one) == before
