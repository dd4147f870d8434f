"""Peers are compared only if they do the same: the same keys on the same partitions, the same payloads, in order."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition

from benchmarks.stage import PARTITIONS, Stage, Topic

# By this header a record's sender is known.
ID: Final = {"relay": "ce_id", "debezium": "id"}
FRAME_BYTES: Final = {"relay": 5, "debezium": 0}
SECONDS: Final = 20

Record = tuple[int, bytes, bytes, bytes, bytes]  # partition, key, version, event type, payload


def check(stage: Stage, topic: Topic, events: int) -> None:
    """Read the topic from its beginning; raises AssertionError where the two senders' records are not the same."""
    found: dict[str, dict[bytes, Record]] = defaultdict(dict)
    versions: dict[tuple[str, bytes], int] = defaultdict(int)
    for message in _read(stage, topic, events * len(ID)):
        headers: dict[str, bytes] = dict(message.headers())
        sender = next(name for name, header in ID.items() if header in headers)
        key, version = message.key(), headers["ce_sequence"]
        payload = message.value()[FRAME_BYTES[sender] :]
        record = (message.partition(), key, version, headers["ce_type"], payload)
        assert int(version) == versions[sender, key] + 1, f"{sender}: {key!r} has version {version!r} out of order"
        versions[sender, key] += 1
        found[sender][headers[ID[sender]]] = record
    assert len(found["relay"]) == events, f"the relay sent {len(found['relay'])} different events, not {events}"
    assert found["relay"] == found["debezium"], "the relay's records and Debezium's are not the same"


def _read(stage: Stage, topic: Topic, records: int) -> Sequence[Any]:
    consumer = Consumer({"bootstrap.servers": stage.kafka, "group.id": "same-records", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic.name, number, 0) for number in range(PARTITIONS)])
    try:
        messages: list[Any] = []
        while len(messages) < records:
            more = consumer.consume(records - len(messages), SECONDS)
            assert more, f"{records - len(messages)} records are missing on {topic.name}"
            messages += more
        return messages
    finally:
        consumer.close()
