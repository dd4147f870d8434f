"""How far the consumer has read, kept in the service's own database beside what Kafka keeps of the group.

Kafka forgets a group's offsets (`offsets.retention.minutes` after its last member left), and knows a topic by its name:
offsets of one that was deleted and created anew mean other records. So the consumer keeps the next offset of each
partition with the topic's id, and when the last record's event was recorded.

It is written with Kafka's offsets, once a second and after the batches that it tells of: never ahead of the inbox. What
a crash leaves behind is read once more, and the inbox drops it. docs/decisions/ has the figures.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, NamedTuple

from django.db import connection

from waybill.consumer.message import Message

Partition = tuple[str, int]

# `topic_id` stays where none is given: a broker before Kafka 2.8 has none, and offsets still belong to the known one.
SAVE: Final = """
INSERT INTO waybill_consumer_position (topic, "partition", next_offset, topic_id, read_until)
SELECT * FROM unnest(%s::text[], %s::integer[], %s::bigint[], %s::text[], %s::timestamptz[])
ON CONFLICT (topic, "partition") DO UPDATE
SET next_offset = excluded.next_offset, topic_id = coalesce(excluded.topic_id, waybill_consumer_position.topic_id),
    read_until = excluded.read_until
"""
STORED: Final = """
SELECT topic, "partition", next_offset, topic_id, read_until FROM waybill_consumer_position WHERE topic = ANY(%s)
"""
# Unlike SAVE it also goes back: the partition is read from an earlier offset, or from another log.
MOVE: Final = """
INSERT INTO waybill_consumer_position (topic, "partition", next_offset, topic_id) VALUES (%s, %s, %s, %s)
ON CONFLICT (topic, "partition") DO UPDATE SET next_offset = excluded.next_offset, topic_id = excluded.topic_id
"""


class Position(NamedTuple):
    """The next offset of a partition, of the topic with that id; `read_until` as in Gap."""

    next_offset: int
    topic_id: str | None
    read_until: datetime | None


def save(last: Mapping[Partition, Message], topic_ids: Mapping[str, str]) -> None:
    """Write that each partition was read up to its last message. Raises what the database raises."""
    rows = [
        (topic, partition, message.offset + 1, topic_ids.get(topic), recorded_at(message))
        for (topic, partition), message in sorted(last.items())
    ]
    with connection.cursor() as cursor:
        cursor.execute(SAVE, [list(column) for column in zip(*rows, strict=True)])


def stored(topics: Collection[str]) -> dict[Partition, Position]:
    """Return the positions in these topics. Raises what the database raises."""
    with connection.cursor() as cursor:
        cursor.execute(STORED, [list(topics)])
        return {(topic, partition): Position(*rest) for topic, partition, *rest in cursor.fetchall()}


def move(topic: str, partition: int, next_offset: int, topic_id: str | None) -> None:
    """Write that a partition is read on from another offset. Raises what the database raises."""
    with connection.cursor() as cursor:
        cursor.execute(MOVE, [topic, partition, next_offset, topic_id])


def recorded_at(message: Message) -> datetime:
    """Return when the event was recorded, as its header says; never later than the record's own time."""
    produced_at = datetime.fromtimestamp(max(message.timestamp_ms, 0) / 1000, UTC)
    with suppress(ValueError):
        said = datetime.fromisoformat(message.headers.get("ce_time", ""))
        if said.tzinfo is not None:
            return min(said, produced_at)
    return produced_at
