"""Whatever bytes a record has, the consumer handles it or keeps it as a dead letter, and goes on behind it."""

from typing import Any, NamedTuple

import psycopg
import pytest
from confluent_kafka import Producer
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from devstack.harness.databases import ServiceDatabase
from devstack.harness.wait import wait_until
from inventory_service.service import service as inventory
from schemas.events import OrderPlaced
from tests.support import raw_producer
from tests.support.consuming import consuming, on_topic
from tests.support.orders import placed
from tests.support.relays import make_topic
from tests.support.stock import stocked
from waybill.consumer import schema_ids
from waybill.contracts import codec

SCHEMA_ID = 1
ID = "0198a000-0000-7000-8000-000000000001"
UNTIL_HANDLED = 90
# NUL ends a name for the client; a name that is not UTF-8 is not for this producer, see below.
NAMES = st.one_of(st.sampled_from(["ce_id", "ce_type", "ce_sequence", "ce_replaytarget"]), st.text(max_size=20))
WORDS = st.sampled_from([b"", b"\x00", ID.encode(), OrderPlaced.event_type.encode(), b"9" * 5000, "ß".encode()])
BYTES = st.one_of(st.binary(max_size=300), WORDS)
VALUES = st.one_of(st.none(), BYTES, st.binary(max_size=100).map(lambda some: codec.frame(SCHEMA_ID, some)))


class Record(NamedTuple):
    """The parts of a record."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


RECORDS = st.builds(
    Record,
    st.one_of(st.none(), BYTES, st.binary(min_size=1, max_size=1).map(lambda one: one * 7000)),
    VALUES,
    st.lists(st.tuples(NAMES, st.one_of(st.none(), BYTES)), max_size=5),
)


@pytest.fixture
def topic(kafka: str, inventory_database: ServiceDatabase):
    with psycopg.connect(inventory_database.owner_url, autocommit=True) as owner:
        row = [OrderPlaced.event_type, 1, SCHEMA_ID, None]
        owner.execute("INSERT INTO waybill_schema_id VALUES (%s, %s, %s, %s)", row)
    schema_ids._writers.cache_clear()
    stocked("LAMP", 100)
    yield make_topic(kafka, partitions=1)
    schema_ids._writers.cache_clear()


def look(database: ServiceDatabase, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.superuser_url) as session:
        return session.execute(statement).fetchall()


def good(producer: Producer, topic: str) -> None:
    event = placed(quantity=1)
    headers = {"ce_id": str(event.order_id), "ce_type": event.event_type, "ce_sequence": "1"}
    value = codec.frame(SCHEMA_ID, codec.encode(event))
    producer.produce(topic, value, event.aggregate_id, headers=list(headers.items()))


def may_be_passed(record: Record) -> bool:
    """Say whether its headers name a type or a group that is not ours, or the id that other records have too."""
    said = dict(record.headers)
    return (
        said.get("ce_type") not in {None, b"", OrderPlaced.event_type.encode()}
        or "ce_replaytarget" in said
        or said.get("ce_id") == ID.encode()
    )


def reserved(database: ServiceDatabase) -> int:
    ((count,),) = look(database, "SELECT reserved FROM products")
    return count


@pytest.mark.slow
def test_arbitrary_records_are_handled_or_kept_and_a_good_one_behind_them_is_applied(
    kafka: str, topic: str, inventory_database: ServiceDatabase
):
    records: list[Record] = []

    @settings(max_examples=100, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck))
    @given(RECORDS)
    def draw(record: Record) -> None:
        records.append(record)

    draw()
    producer = Producer({"bootstrap.servers": kafka})
    for one in records:
        producer.produce(topic, one.value, one.key, headers=one.headers)
    good(producer, topic)
    assert producer.flush(30) == 0
    with consuming(on_topic(inventory, topic), kafka, dead_letter_limit=1.0) as condition:
        wait_until(
            lambda: reserved(inventory_database) == 1, deadline_seconds=UNTIL_HANDLED, what="the good record applied"
        )
        wait_until(lambda: condition.unready() is None, deadline_seconds=10, what="ready")
    kept = {place for (place,) in look(inventory_database, "SELECT headers->>'place' FROM received WHERE status = -1")}
    missing = [one for n, one in enumerate(records) if f"{topic}/0/{n}" not in kept]
    assert [one for one in missing if not may_be_passed(one)] == []
    assert len(kept) > len(records) / 3


def test_a_header_name_that_is_not_utf_8_makes_a_dead_letter_that_says_so(
    kafka: str, topic: str, inventory_database: ServiceDatabase
):
    raw_producer.produce(kafka, topic, b"k", b"v", [(b"\xff\xfe", b"1"), (b"ce_id", ID.encode())])
    producer = Producer({"bootstrap.servers": kafka})
    good(producer, topic)
    assert producer.flush(30) == 0
    with consuming(on_topic(inventory, topic), kafka):
        wait_until(
            lambda: reserved(inventory_database) == 1, deadline_seconds=UNTIL_HANDLED, what="the good record applied"
        )
    ((reason,),) = look(inventory_database, "SELECT headers->>'reason' FROM received WHERE status = -1")
    assert "the name of a header is not UTF-8" in reason


@pytest.mark.slow
def test_what_can_be_neither_handled_nor_kept_is_waited_for_and_named(
    kafka: str, topic: str, inventory_database: ServiceDatabase
):
    refuse = "ALTER TABLE received ADD CONSTRAINT refuse CHECK (headers->>'key' <> 'refused')"
    look_at = "SELECT count(*) FROM received WHERE status = -1"
    with psycopg.connect(inventory_database.owner_url, autocommit=True) as owner:
        owner.execute(refuse)
        producer = Producer({"bootstrap.servers": kafka})
        producer.produce(topic, b"v", b"refused")
        good(producer, topic)
        assert producer.flush(30) == 0
        own = on_topic(inventory, topic)
        with consuming(own, kafka, retry_seconds=0.05) as condition:
            said = f"stopped: can neither handle {topic}/0/0"
            wait_until(lambda: said in (condition.unready() or ""), deadline_seconds=UNTIL_HANDLED, what="waiting")
            told = condition.unready() or ""
            owner.execute("ALTER TABLE received DROP CONSTRAINT refuse")
            wait_until(lambda: reserved(inventory_database) == 1, deadline_seconds=UNTIL_HANDLED, what="going on")
            wait_until(lambda: condition.unready() is None, deadline_seconds=10, what="ready")
    assert "refuse" in told
    assert f"outbox skip --service {own.name} --topic {topic} --partition 0 --offset 0" in told
    assert look(inventory_database, look_at) == [(1,)]
