"""A consumer whose next record is gone says which are missing, keeps that, and reads on."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import NewTopic

from devstack.harness.databases import ServiceDatabase
from devstack.harness.wait import wait_until
from inventory_service.service import service as inventory
from tests.support.broker import Broker
from tests.support.consuming import consuming, on_topic
from tests.support.relays import make_topic
from waybill.consumer.gap import Gap
from waybill.consumer.starts import choose_start
from waybill.deciders.service import Service
from waybill.observability import metrics

GAPS = """
SELECT topic, "partition", first_offset, last_offset FROM waybill_offset_gap
WHERE acknowledged_at IS NULL AND filled_at IS NULL
"""
FOUND_AT = datetime(2026, 5, 4, 14, 0, 7, 5, tzinfo=UTC)


def produce(broker: Broker, topic: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for _ in range(count):
        producer.produce(topic, b"x", b"k", headers=[("ce_type", b"nobody.reacts")])
    assert producer.flush(30) == 0


def commit(broker: Broker, group: str, topic: str, offset: int) -> None:
    client = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group})

    def committed_at_last() -> bool:
        try:
            client.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
        except KafkaException:
            return False  # the broker still loads what it knows of groups
        return True

    wait_until(committed_at_last, deadline_seconds=30, what="the group's offset")
    client.close()


def committed(broker: Broker, group: str, topic: str, partition: int = 0) -> int:
    client = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group})
    try:
        (found,) = client.committed([TopicPartition(topic, partition)], 10)
    except KafkaException:
        return -1  # the broker still loads what it knows of groups
    finally:
        client.close()
    return found.offset


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "left_at", "after", "missing"),
    [(10, 4, 3, (4, 9)), (10, 15, 3, (15, None)), (10, None, 3, None), (0, None, 3, None)],
    ids=["retention passed", "offset beyond the end", "new group on an old topic", "new group"],
)
def test_what_retention_removed_before_it_was_read_is_kept_and_told(
    broker: Broker, own_inventory, before, left_at, after, missing
):
    topic = make_topic(broker.bootstrap, partitions=1)
    own = on_topic(inventory, topic)
    produce(broker, topic, before)
    if left_at is not None:
        commit(broker, own.name, topic, left_at)
    broker.delete_records(topic, 1)
    produce(broker, topic, after)
    with consuming(own, broker.bootstrap) as condition:
        end = before + after
        wait_until(lambda: committed(broker, own.name, topic) == end, deadline_seconds=60, what="all read")
        with psycopg.connect(own_inventory.owner_url, autocommit=True) as owner:
            found = owner.execute(GAPS).fetchall()
            assert found == ([(topic, 0, *missing)] if missing else [])
            if missing:
                text = str(Gap(topic, 0, *missing, None, FOUND_AT))
                wait_until(lambda: text in (condition.unready() or ""), deadline_seconds=20, what="unready")
                owner.execute("UPDATE waybill_offset_gap SET acknowledged_at = now()")
            wait_until(lambda: condition.unready() is None, deadline_seconds=20, what="ready")


def gaps(database: ServiceDatabase) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.owner_url) as owner:
        return owner.execute(GAPS).fetchall()


def passed() -> float:
    return metrics.metric("consumer_passed_total")._value.get()


def create_anew(broker: Broker, topic: str) -> None:
    broker.delete_topic(topic)
    admin = broker.admin()
    admin.create_topics([NewTopic(topic, 1)])[topic].result(10)


@pytest.mark.slow
def test_a_partition_waits_while_what_is_missing_of_it_cannot_be_kept(broker: Broker, own_inventory: ServiceDatabase):
    topic = make_topic(broker.bootstrap, partitions=1)
    own = on_topic(inventory, topic)
    produce(broker, topic, 10)
    commit(broker, own.name, topic, 4)
    broker.delete_records(topic, 1)
    produce(broker, topic, 3)
    with psycopg.connect(own_inventory.owner_url, autocommit=True) as owner:
        owner.execute("REVOKE INSERT ON waybill_offset_gap FROM test_service")
        with consuming(own, broker.bootstrap, retry_seconds=0.1) as condition:
            said = "topic: cannot tell where to read on: permission denied for table waybill_offset_gap"
            wait_until(lambda: said in (condition.unready() or ""), deadline_seconds=60, what="waiting")
            owner.execute("GRANT INSERT ON waybill_offset_gap TO test_service")
            wait_until(lambda: committed(broker, own.name, topic) == 13, deadline_seconds=60, what="all read")
    assert gaps(own_inventory) == [(topic, 0, 4, 9)]


@pytest.mark.slow
def test_a_group_whose_offsets_expired_continues_where_it_was(broker: Broker, own_inventory: ServiceDatabase):
    topic = make_topic(broker.bootstrap, partitions=1)
    own = on_topic(inventory, topic)
    produce(broker, topic, 10)
    read_to(broker, own, topic, 10)
    forget(broker, own.name)
    produce(broker, topic, 5)
    before = passed()
    read_to(broker, own, topic, 15)
    assert (passed() - before, gaps(own_inventory)) == (5, [])
    forget(broker, own.name)
    produce(broker, topic, 5)
    broker.delete_records(topic, 1)
    produce(broker, topic, 3)
    read_to(broker, own, topic, 23)
    assert gaps(own_inventory) == [(topic, 0, 15, 19)]


def read_to(broker: Broker, own: Service, topic: str, end: int) -> None:
    with consuming(own, broker.bootstrap):
        wait_until(lambda: committed(broker, own.name, topic) == end, deadline_seconds=60, what="all read")


def forget(broker: Broker, group: str) -> None:
    """Forget a group as the broker does once its offsets have expired."""
    admin = broker.admin()

    def forgotten() -> bool:
        try:
            admin.delete_consumer_groups([group])[group].result(10)
        except KafkaException:
            return False  # its last member is still leaving
        return True

    wait_until(forgotten, deadline_seconds=30, what="the group forgotten")


@pytest.mark.slow
@pytest.mark.parametrize("runs", [True, False], ids=["while it runs", "while it is down"])
def test_a_topic_that_is_created_anew_with_more_records_is_read_from_its_start(
    broker: Broker, own_inventory: ServiceDatabase, runs: bool
):
    topic = make_topic(broker.bootstrap, partitions=1)
    own = on_topic(inventory, topic)
    produce(broker, topic, 10)
    with consuming(own, broker.bootstrap):
        wait_until(lambda: committed(broker, own.name, topic) == 10, deadline_seconds=60, what="all read")
        before = passed()
        if runs:
            create_anew(broker, topic)
            produce(broker, topic, 20)
            # It may have gone on in the midst of the new log before it noticed.
            wait_until(lambda: passed() - before in {20, 30}, deadline_seconds=60, what="the new log read")
            wait_until(lambda: gaps(own_inventory), deadline_seconds=30, what="the gap")
    if not runs:
        create_anew(broker, topic)
        produce(broker, topic, 20)
        commit(broker, own.name, topic, 10)
        with consuming(own, broker.bootstrap):
            wait_until(lambda: passed() - before == 20, deadline_seconds=60, what="the new log read")
    ((*_, first, last),) = gaps(own_inventory)
    assert first == 10 or (runs and first == 20)
    assert last is None


def test_where_a_partition_is_read_on():
    assert choose_start(5, 5, 9) == (5, None)
    assert choose_start(9, 5, 9) == (9, None)
    assert choose_start(None, 5, 9) == (5, None)
    assert choose_start(2, 5, 9) == (5, (2, 4))
    assert choose_start(12, 5, 9) == (5, (12, None))
    assert choose_start(7, 5, 9, created_anew=True) == (5, (7, None))


def test_the_remedy_of_a_gap_sends_what_was_recorded_since_the_last_event_that_was_read():
    gap = Gap("order.events.v1", 2, 4, 9, datetime(2026, 5, 4, 13, 30, tzinfo=UTC), FOUND_AT)
    assert gap.remedy("inventory_service") == (
        "outbox replay --service order --since 2026-05-04T12:30:00Z --until 2026-05-04T14:00:08Z "
        "--to-consumer inventory_service"
    )
    assert gap._replace(read_until=None).remedy("g") == (
        "outbox replay --service order --until 2026-05-04T14:00:08Z --to-consumer g"
    )


def test_partitions_with_records_do_not_wait_for_the_fetches_of_empty_ones(
    broker: Broker, own_inventory: ServiceDatabase, tmp_path: Path
):
    topic = make_topic(broker.bootstrap, partitions=6)
    own = on_topic(inventory, topic)
    properties = tmp_path / "properties"
    properties.write_text("fetch.wait.max.ms=50000\n")
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce(topic, b"x", b"k", partition=5, headers=[("ce_type", b"nobody.reacts")])
    assert producer.flush(30) == 0
    with consuming(own, broker.bootstrap, kafka_properties_file=str(properties)):
        wait_until(lambda: committed(broker, own.name, topic, 5) == 1, deadline_seconds=30, what="the record read")
