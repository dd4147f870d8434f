"""Topics of a broker: where they end, whether they were read, and how to be rid of them."""

from collections.abc import Collection

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from devstack.harness.wait import wait_until
from outbox_relay.operations.topics.topic import committed

ARBITRARY = "arbitrary"  # a header: the record was put there by a fault, and belongs to no outbox


def ends(bootstrap: str, topic: str) -> list[TopicPartition]:
    """Return each partition of a topic with the offset after its last record."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "tests"})
    try:
        found = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        places = [TopicPartition(topic, partition) for partition in found]
        return [TopicPartition(p.topic, p.partition, consumer.get_watermark_offsets(p, timeout=10)[1]) for p in places]
    finally:
        consumer.close()


def wait_until_read(bootstrap: str, topic: str, groups: Collection[str]) -> list[TopicPartition]:
    """Wait until every group has gone past what is on the topic now; returns where that ends."""
    places = ends(bootstrap, topic)

    def are_past() -> bool:
        read = [committed({"bootstrap.servers": bootstrap}, group, [topic]) for group in groups]
        return all(one[topic, end.partition] >= end.offset for one in read for end in places)

    wait_until(are_past, deadline_seconds=60, what=f"every reader is past the end of {topic}")
    return places


def delete_topics(bootstrap: str, names: Collection[str]) -> None:
    """Delete those of the topics that are there; returns when nobody sees them any more."""
    admin = AdminClient({"bootstrap.servers": bootstrap})

    def there() -> list[str]:
        return sorted(set(names) & admin.list_topics(timeout=30).topics.keys())

    if found := there():
        for deleted in admin.delete_topics(found).values():
            deleted.result(30)
        wait_until(lambda: not there(), deadline_seconds=30, what="the topics deleted")
