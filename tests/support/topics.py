"""Where topics end, and the mark of a record that no relay wrote."""

from collections.abc import Collection

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from devstack.harness.wait import wait_until

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


def delete_topics(bootstrap: str, names: Collection[str]) -> None:
    """Delete those of the topics that are there; returns when nobody sees them any more."""
    admin = AdminClient({"bootstrap.servers": bootstrap})

    def there() -> list[str]:
        return sorted(set(names) & admin.list_topics(timeout=30).topics.keys())

    if found := there():
        for deleted in admin.delete_topics(found).values():
            deleted.result(30)
        wait_until(lambda: not there(), deadline_seconds=30, what="the topics deleted")
