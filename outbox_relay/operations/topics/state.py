"""Each topic as it is: how it differs from what is meant, and how far each consumer group is behind, in time too.

How far behind in seconds is the age of the oldest record that the group has not committed: it is read, one record a
partition that is behind. Groups without an offset on a topic are not listed: `groups.read`, which `grow` relies on,
knows of members too.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    OffsetSpec,  # pyright: ignore[reportPrivateImportUsage] - exported, but not in the stub's __all__
)

from outbox_relay.operations.topology import DependencyDown, Topology, broker_down
from outbox_relay.relay.kafka.broker import SILENT
from waybill.contracts.topics import Topic
from waybill.kafka import create_topics
from waybill.registry.reach import Unreachable

ANSWER_SECONDS: Final = 2.0  # of one call to the broker: somebody waits for the page
AGE_SECONDS: Final = 2.0  # for the records whose ages are read; one that does not come has no age
# One record a partition is wanted, and librdkafka would fetch ahead.
SMALL: Final = {"fetch.message.max.bytes": 64 * 1024, "queued.max.messages.kbytes": 1024, "fetch.wait.max.ms": 50}

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class GroupLag:
    """How far a group is behind on a topic; `seconds` is None where no age could be read, 0 where it is not behind."""

    group: str
    records: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic; `differences` has a line on each difference from what is meant, with the command that changes it."""

    topic: str
    exists: bool
    partitions: int
    partitions_meant: int
    records: int
    differences: tuple[str, ...]
    groups: tuple[GroupLag, ...]

    def shown(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def read(topology: Topology, wanted: Sequence[Topic]) -> list[TopicState]:
    """Return how each topic stands, and every group that has an offset there. Raises DependencyDown, UsageError."""
    kafka = topology.broker
    try:
        outcomes = create_topics.create_missing(
            wanted, kafka["bootstrap.servers"], ANSWER_SECONDS, topology.properties_file, check_only=True
        )
        options: Any = {**kafka, "client.id": "outbox", "logger": SILENT}
        admin: Any = AdminClient(options)
        bounds = _bounds(admin, [topic.name for topic in wanted])
        committed = _committed(admin, {topic.name for topic in wanted})
        ages = _ages(kafka, {(*place, offset) for at in committed.values() for place, offset in _behind(at, bounds)})
    except KafkaException as error:
        raise broker_down(kafka, error) from None
    except Unreachable as error:
        raise DependencyDown(str(error)) from None
    return [
        _state(topic, outcome.differences, bounds, committed, ages)
        for topic, outcome in zip(wanted, outcomes, strict=True)
    ]


def _state(
    topic: Topic,
    differences: tuple[str, ...],
    bounds: Mapping[Place, tuple[int, int]],
    committed: Mapping[str, Mapping[Place, int]],
    ages: Mapping[tuple[str, int, int], float],
) -> TopicState:
    own = {place: ends for place, ends in bounds.items() if place[0] == topic.name}
    groups: list[GroupLag] = []
    for group, at in sorted(committed.items()):
        here = {place: offset for place, offset in at.items() if place in own}
        if here:
            behind = _behind(here, own)
            known = [ages[*place, offset] for place, offset in behind if (*place, offset) in ages]
            records = sum(own[place][1] - offset for place, offset in behind)
            groups.append(GroupLag(group, records, (max(known) if known else None) if behind else 0.0))
    records = sum(end - start for start, end in own.values())
    return TopicState(topic.name, bool(own), len(own), topic.partitions, records, differences, tuple(groups))


def _behind(at: Mapping[Place, int], bounds: Mapping[Place, tuple[int, int]]) -> list[tuple[Place, int]]:
    """Return the places where records are left, and the first of them that is still there."""
    firsts = {place: max(offset, bounds[place][0]) for place, offset in at.items() if place in bounds}
    return [(place, first) for place, first in firsts.items() if first < bounds[place][1]]


def _bounds(admin: Any, names: Collection[str]) -> dict[Place, tuple[int, int]]:
    known = admin.list_topics(timeout=ANSWER_SECONDS).topics
    places = [(name, partition) for name in names if name in known for partition in known[name].partitions]
    ends: list[dict[Place, int]] = []
    for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):
        asked = {TopicPartition(*place): spec for place in places}
        answers: dict[Any, Any] = admin.list_offsets(asked, request_timeout=ANSWER_SECONDS) if asked else {}
        ends.append({(one.topic, one.partition): answer.result().offset for one, answer in answers.items()})
    return {place: (ends[0][place], ends[1][place]) for place in places}


def _committed(admin: Any, names: Collection[str]) -> dict[str, dict[Place, int]]:
    listed = admin.list_consumer_groups(request_timeout=ANSWER_SECONDS).result()
    if listed.errors:
        raise KafkaException(listed.errors[0])
    asked = [one.group_id for one in listed.valid]
    answers = {
        group: admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=ANSWER_SECONDS)[
            group
        ]
        for group in asked
    }
    found: dict[str, dict[Place, int]] = {}
    for group, answer in answers.items():
        offsets = {
            (one.topic, one.partition): one.offset
            for one in answer.result().topic_partitions or ()
            if one.topic in names and one.offset >= 0
        }
        if offsets:
            found[group] = offsets
    return found


def _ages(kafka: Mapping[str, str], wanted: Collection[tuple[str, int, int]]) -> dict[tuple[str, int, int], float]:
    """Return the age in seconds of each of these records that comes in time."""
    if not wanted:
        return {}
    by_place: defaultdict[Place, list[int]] = defaultdict(list)
    for topic, partition, offset in sorted(wanted):
        by_place[topic, partition].append(offset)
    options: Any = {**kafka, **SMALL, "group.id": "outbox", "enable.auto.commit": False, "logger": SILENT}
    consumer = Consumer({**options, "client.id": "outbox"})
    until = time.monotonic() + AGE_SECONDS
    found: dict[tuple[str, int, int], float] = {}
    try:
        # Two groups may stand at two offsets of a partition, and a client reads a partition from one.
        while by_place and time.monotonic() < until:
            found |= _first_ages(consumer, {place: offsets.pop() for place, offsets in by_place.items()}, until)
            by_place = defaultdict(list, {place: offsets for place, offsets in by_place.items() if offsets})
    finally:
        consumer.close()
    return found


def _first_ages(consumer: Consumer, at: Mapping[Place, int], until: float) -> dict[tuple[str, int, int], float]:
    left = dict(at)
    found: dict[tuple[str, int, int], float] = {}
    consumer.assign([TopicPartition(*place, offset) for place, offset in at.items()])
    while left and time.monotonic() < until:
        message = consumer.poll(max(0.0, until - time.monotonic()))
        if message is None:
            break
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            raise KafkaException(error)
        place = (message.topic() or "", message.partition() or 0)
        if place in left and error is None:
            _, written_ms = message.timestamp()
            found[*place, left.pop(place)] = max(0.0, time.time() - written_ms / 1000)
            consumer.incremental_unassign([TopicPartition(*place)])
    return found
