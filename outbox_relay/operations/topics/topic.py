"""The topics as a subscriber finds them now: every record up to the ends that stood when reading began.

Anybody may have written what stands there. A key or a header is any bytes: what cannot be read of them is said in the
record's `failure`, and nothing raises.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from outbox_relay.operations.topology import broker_down
from outbox_relay.relay.kafka.broker import SILENT

ANSWER_SECONDS: Final = 10.0  # without a record or the end of a partition, then the broker counts as away
BATCH: Final = 1_000  # records handed on at once
CLOCKS_APART: Final = timedelta(minutes=5)  # by which a record's time may be before its event's
LARGEST_VERSION: Final = 2**31 - 1  # of the outbox's column
SHOWN: Final = 250  # characters of a key or of a header that nobody can read
# Per partition librdkafka would fetch ahead 64 MB: with dozens of partitions that is more than the command may take.
BUFFER: Final = {"queued.max.messages.kbytes": 8 * 1024, "fetch.message.max.bytes": 512 * 1024}


class TopicRecord(NamedTuple):
    """One record; `event_id` is None, and `version` 0, where its headers do not say.

    `failure` says which of its headers cannot be read. `replay_target` is the group that a replayed one is meant for,
    None where it is for all.
    """

    topic: str
    partition: int
    offset: int
    key: str
    event_id: UUID | None
    version: int
    event_type: str
    replayed: bool
    replay_target: str | None
    failure: str | None = None
    source: str = ""


Partition = tuple[str, int]


def read(
    kafka: Mapping[str, str], topics: Mapping[str, datetime | None], progress: Callable[[int, int], object]
) -> Iterator[list[TopicRecord]]:
    """Yield the records of the topics that exist, some at a time, each partition in order; blocks up to 10 s a silence.

    A topic is read from a time on, less what clocks may differ, or from its beginning where that is None. `progress` is
    told records read and the number there are at most. Raises DependencyDown.
    """
    consumer = _consumer(kafka, f"outbox-{uuid4()}")
    try:
        ends = {place: bounds for place in _partitions(consumer, topics) if (bounds := _bounds(consumer, place))}
        starts = [_start(consumer, place, topics[place[0]]) for place in ends]
        total = sum(end - max(start.offset, low) for start, (low, end) in zip(starts, ends.values(), strict=True))
        consumer.assign(starts)
        done = 0
        while ends:
            found = [record for message in _batch(consumer) if (record := _record(message)) is not None]
            records = [one for one in found if (one.topic, one.partition) in ends]
            done += len(records)
            yield records
            progress(done, total)
            _drop_ended(consumer, ends)
    except KafkaException as error:
        raise broker_down(kafka, error) from None
    finally:
        consumer.close()


def tail(kafka: Mapping[str, str], topics: Collection[str], depth: int, deadline_seconds: float) -> list[TopicRecord]:
    """Return the records at the last `depth` offsets of each partition of the topics that exist.

    Blocks `deadline_seconds`, and up to 10 s more for each request under way. Raises DependencyDown.
    """
    until = time.monotonic() + deadline_seconds
    consumer = _consumer(kafka, f"outbox-{uuid4()}")
    try:
        ends: dict[Partition, int] = {}
        for place in _partitions(consumer, topics):
            if bounds := _bounds(consumer, place):
                start, ends[place] = bounds
                consumer.incremental_assign([TopicPartition(*place, max(start, ends[place] - depth))])
        found: list[TopicRecord] = []
        while ends:
            for message in _batch(consumer, until - time.monotonic()):
                record = _record(message)
                place = (message.topic() or "", message.partition() or 0)
                # Its end is announced, since a transaction's marker may stand at the last offset; but one that is
                # written to without a pause may never be at its end.
                if record is None or record.offset + 1 >= ends.get(place, 0):
                    ends.pop(place, None)
                if record is not None:
                    found.append(record)
    except KafkaException as error:
        raise broker_down(kafka, error) from None
    else:
        return found
    finally:
        consumer.close()


def committed(kafka: Mapping[str, str], group: str, topics: Collection[str]) -> dict[Partition, int]:
    """Return the offset that the group stands at in each partition, 0 where it has none. Raises DependencyDown."""
    consumer = _consumer(kafka, group)
    try:
        partitions = [TopicPartition(*place) for place in _partitions(consumer, topics)]
        found = consumer.committed(partitions, timeout=ANSWER_SECONDS) if partitions else []
        return {(place.topic, place.partition): max(place.offset, 0) for place in found}
    except KafkaException as error:
        raise broker_down(kafka, error) from None
    finally:
        consumer.close()


def at(kafka: Mapping[str, str], topic: str, partition: int, offset: int) -> Message | None:
    """Return one record, headers unread; None where the topic has none at this offset. Raises DependencyDown."""
    consumer = _consumer(kafka, f"outbox-{uuid4()}")
    try:
        place = (topic, partition)
        low, high = (place in _partitions(consumer, [topic]) and _bounds(consumer, place)) or (0, 0)
        if not low <= offset < high:
            return None
        consumer.assign([TopicPartition(topic, partition, offset)])
        message = _batch(consumer)[0]
        is_there = _is_record(message) and message.offset() == offset  # not compacted away, nor a marker
    except KafkaException as error:
        raise broker_down(kafka, error) from None
    else:
        return message if is_there else None
    finally:
        consumer.close()


def _consumer(kafka: Mapping[str, str], group: str) -> Consumer:
    # Never subscribed: the group is only asked, or named because a consumer must have one.
    options: Any = {
        **BUFFER,
        **kafka,
        "group.id": group,
        "client.id": "outbox",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "logger": SILENT,
    }
    return Consumer(options)


def _partitions(consumer: Consumer, topics: Collection[str]) -> list[Partition]:
    known = consumer.list_topics(timeout=ANSWER_SECONDS).topics
    return [(topic, partition) for topic in topics if topic in known for partition in known[topic].partitions]


def _bounds(consumer: Consumer, place: Partition) -> tuple[int, int] | None:
    start, end = consumer.get_watermark_offsets(TopicPartition(*place), timeout=ANSWER_SECONDS)
    return (start, end) if end > start else None


def _start(consumer: Consumer, place: Partition, since: datetime | None) -> TopicPartition:
    if since is None:
        return TopicPartition(*place, OFFSET_BEGINNING)
    asked = TopicPartition(*place, int((since - CLOCKS_APART).timestamp() * 1000))
    (found,) = consumer.offsets_for_times([asked], timeout=ANSWER_SECONDS)
    if found.error:
        raise KafkaException(found.error)
    if found.offset == OFFSET_END:  # every record is older
        _, found.offset = consumer.get_watermark_offsets(TopicPartition(*place), timeout=ANSWER_SECONDS)
    return TopicPartition(*place, found.offset)


def _batch(consumer: Consumer, wait_seconds: float = ANSWER_SECONDS) -> list[Message]:
    first = consumer.poll(max(0.0, min(wait_seconds, ANSWER_SECONDS)))
    if first is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no answer within {ANSWER_SECONDS:.0f} s"))  # noqa: SLF001
    return [first, *consumer.consume(BATCH, 0)]


def _drop_ended(consumer: Consumer, ends: dict[Partition, tuple[int, int]]) -> None:
    for place in consumer.position([TopicPartition(*place) for place in ends]):
        if place.offset >= ends[place.topic, place.partition][1]:
            del ends[place.topic, place.partition]


def _is_record(message: Message) -> bool:
    """Say whether it is a record, or else a partition's end. Raises KafkaException."""
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
        raise KafkaException(error)
    return error is None


def _record(message: Message) -> TopicRecord | None:
    if not _is_record(message):
        return None
    headers, failure = _headers(message)
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    version = _version(headers.get("ce_sequence", ""))
    if version is None:
        failure = f"header ce_sequence is no version: {headers['ce_sequence'][:SHOWN]!r}"
    return TopicRecord(
        topic,
        partition,
        offset,
        _text(message.key())[:SHOWN],
        _event_id(headers.get("ce_id", "")),
        version or 0,
        headers.get("ce_type", ""),
        "ce_replayid" in headers,
        headers.get("ce_replaytarget"),
        failure,
        headers.get("ce_source", ""),
    )


def _headers(message: Message) -> tuple[dict[str, str], str | None]:
    try:
        return {name: _text(value) for name, value in message.headers() or ()}, None
    except UnicodeDecodeError:  # the client's, of a name: values may be any bytes
        return {}, "the name of a header is not UTF-8"


def _version(given: str) -> int | None:
    """Return 0 where nobody says, None where what is said is no version."""
    if not given:
        return 0
    if len(given) > len(str(LARGEST_VERSION)) or not (given.isascii() and given.isdecimal()):
        return None
    version = int(given)
    return version if 0 < version <= LARGEST_VERSION else None


def _event_id(given: str) -> UUID | None:
    try:
        return UUID(given)
    except ValueError:
        return None


def _text(value: str | bytes | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""
