"""Where topics end, and the mark of a record that no relay wrote."""

from confluent_kafka import Consumer, TopicPartition

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
