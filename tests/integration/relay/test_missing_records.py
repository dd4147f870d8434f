"""A consumer whose next record is gone says which are missing, keeps that, and reads on."""

import psycopg
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from chassis.consumer import offset_gaps
from inventory_service.service import service as inventory
from tests.integration.relay.broker import Broker
from tests.integration.relay.parts import make_topic
from tests.support.consuming import consuming, on_topic
from tests.support.wait import wait_until

GAPS = 'SELECT topic, "partition", first_offset, last_offset FROM offset_gap WHERE acknowledged_at IS NULL'


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


def committed(broker: Broker, group: str, topic: str) -> int:
    client = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group})
    (found,) = client.committed([TopicPartition(topic, 0)], 10)
    client.close()
    return found.offset


@pytest.mark.parametrize(
    ("before", "left_at", "after", "missing"),
    [(10, 4, 3, (4, 9)), (10, 15, 3, (13, 14)), (10, None, 3, None), (0, None, 3, None)],
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
                text = f"{topic}/0 offsets {missing[0]} to {missing[1]}"
                wait_until(lambda: text in (condition.unready() or ""), deadline_seconds=20, what="unready")
                owner.execute("UPDATE offset_gap SET acknowledged_at = now()")
            wait_until(lambda: condition.unready() is None, deadline_seconds=20, what="ready")


def test_where_a_partition_is_read_on():
    assert offset_gaps.choose_start(5, 5, 9) == (5, None)
    assert offset_gaps.choose_start(9, 5, 9) == (9, None)
    assert offset_gaps.choose_start(-1001, 5, 9) == (5, None)
    assert offset_gaps.choose_start(2, 5, 9) == (5, (2, 4))
    assert offset_gaps.choose_start(12, 5, 9) == (5, (9, 11))
