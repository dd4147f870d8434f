"""What the consumer groups of a topic have still to read.

The broker is asked for all groups it shows us, ours and others' alike. A group counts as one of the topic where it has
committed an offset there, or where a member holds one of the partitions now. A reader without a group (its own offsets,
its own store) cannot be seen. Nor can what a group does between reading and committing: one that commits first and
works later is believed.
"""

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from outbox_relay.operations.topology import broker_down
from outbox_relay.relay.kafka.broker import SILENT

ANSWER_SECONDS: Final = 10.0  # of one call: an operator waits at the terminal
HEADROOM: Final = 64  # groups asked at once


@dataclass(frozen=True, slots=True)
class Reading:
    """What one group has still to read of a topic, by partition; nothing where it has read all."""

    group: str
    left: Mapping[int, int]
    since: datetime | None = None
    """When the oldest of them was written, by the record's own time."""

    def __str__(self) -> str:
        partitions = ", ".join(map(str, sorted(self.left)))
        return f"group {self.group} has {sum(self.left.values())} records still to read, in partitions {partitions}"


def read(kafka: Mapping[str, str], topic: str) -> list[Reading]:
    """Return where each group of the topic stands; blocks up to 10 s a question. Raises DependencyDown."""
    options: Any = {**kafka, "client.id": "outbox", "logger": SILENT}
    asked = Consumer({**options, "group.id": "outbox", "enable.auto.commit": False, "enable.partition.eof": True})
    try:
        stand = _positions(cast("Any", AdminClient(options)), topic)
        bounds = _bounds(asked, topic)
        return [Reading(group, *_left(asked, topic, bounds, stand[group])) for group in sorted(stand)]
    except KafkaException as error:
        raise broker_down(kafka, error) from None
    finally:
        asked.close()


def names(kafka: Mapping[str, str]) -> list[str]:
    """Return the consumer groups that the broker knows; blocks up to 10 s. Raises DependencyDown."""
    options: Any = {**kafka, "client.id": "outbox", "logger": SILENT}
    try:
        return _names(cast("Any", AdminClient(options)))
    except KafkaException as error:
        raise broker_down(kafka, error) from None


def _names(admin: Any) -> list[str]:
    listed = admin.list_consumer_groups(request_timeout=ANSWER_SECONDS).result()
    if listed.errors:
        raise KafkaException(listed.errors[0])
    return [one.group_id for one in listed.valid]


def _positions(admin: Any, topic: str) -> dict[str, dict[int, int]]:
    """Return group → partition → committed offset; an empty one for a group that has members only."""
    known = _names(admin)
    found: dict[str, dict[int, int]] = {}
    for start in range(0, len(known), HEADROOM):
        some = known[start : start + HEADROOM]
        answers = [
            admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)], request_timeout=ANSWER_SECONDS)
            for name in some
        ]
        for name, answer in zip(some, answers, strict=True):
            offsets = {
                one.partition: one.offset
                for one in _said(answer[name]).topic_partitions or ()
                if one.topic == topic and one.offset >= 0
            }
            if offsets:
                found[name] = offsets
    for name in _with_members(admin, topic, known):
        found.setdefault(name, {})
    return found


def _with_members(admin: Any, topic: str, known: Collection[str]) -> Iterator[str]:
    """Yield the groups of which a member holds a partition of the topic."""
    if not known:
        return  # which the client would raise on
    asked: dict[str, Future[Any]] = admin.describe_consumer_groups(list(known), request_timeout=ANSWER_SECONDS)
    for name, answer in asked.items():
        if topic in {place.topic for member in _said(answer).members for place in member.assignment.topic_partitions}:
            yield name


def _said(answer: Future[Any]) -> Any:
    return answer.result(ANSWER_SECONDS)


def _bounds(asked: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    known = asked.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic].partitions
    return {one: asked.get_watermark_offsets(TopicPartition(topic, one), timeout=ANSWER_SECONDS) for one in known}


def _left(
    asked: Consumer, topic: str, bounds: Mapping[int, tuple[int, int]], committed: Mapping[int, int]
) -> tuple[dict[int, int], datetime | None]:
    left: dict[int, int] = {}
    times: list[datetime] = []
    for partition, (start, end) in bounds.items():
        at = max(committed.get(partition, start), start)
        written_at = _written_at(asked, TopicPartition(topic, partition, at)) if at < end else None
        if written_at is not None:
            left[partition] = end - at
            times.append(written_at)
    return left, min(times, default=None)


def _written_at(asked: Consumer, place: TopicPartition) -> datetime | None:
    """Return when the first record from the place on was written; None where there is none to be read.

    The end of a Kafka transaction takes an offset too.
    """
    asked.assign([place])
    message = asked.poll(ANSWER_SECONDS)
    if message is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no answer within {ANSWER_SECONDS:.0f} s"))  # noqa: SLF001
    error = message.error()
    if error is None:
        _, milliseconds = message.timestamp()
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
        return None
    raise KafkaException(error)
