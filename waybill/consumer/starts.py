"""Where partitions are read on, and which records are missing before that.

Retention removes records whether or not they were read. With `auto.offset.reset` at `earliest` a client goes on at what
is left and says nothing; at `error` it asks, and the answer is given here. Two faults raise no error at the client: the
group's offsets have expired, which looks like a new group, and the topic was created anew with more records than were
read. So each partition that is assigned stays paused until its position is held against what the database has:

    the topic's id is another one       read from the log's start; nobody knows how much of the former log is missing
    no committed offset, a position     go on at the position
    neither                             a new group begins with what there is
    the offset lies before the log      read from the log's start; what lies between is missing
    the offset lies behind the log      the same as with another id

The consumer carries on behind a gap: stopping would lose more to the same retention. What is missing is kept in
`waybill_offset_gap`, and the program unready, until all of it was received after all (`outbox replay` writes into
`awaited` which events that are) or an operator acknowledged it. Where the database or the broker fails meanwhile, the
partition stays paused and is tried again with backoff; the others flow.
"""

import time
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # pyright: ignore[reportPrivateImportUsage] - it is public
from django.db import connection

from waybill.consumer import positions
from waybill.consumer.gap import COLUMNS, IS_OPEN, OPEN, Gap, summary
from waybill.consumer.polling import SILENT
from waybill.consumer.positions import Partition, Position
from waybill.database.sqlstate import ErrorClass, classify, may_succeed_later, one_line
from waybill.runtime.condition import Condition

log: structlog.stdlib.BoundLogger = structlog.get_logger()
ANSWER_SECONDS: Final = 10.0  # of one call to the broker; other partitions are not held up by it
# The backoff's bound: a partition whose start cannot be settled is tried this often at least.
LONGEST_WAIT: Final = 60.0
WATCH_SECONDS: Final = 10.0  # between two looks at the topics' ids: a topic may be deleted and created while it is read
GROUP: Final = ""  # stands for the group among the topics that are refused
NO_ID: Final = "AAAAAAAAAAAAAAAAAAAAAA"  # of a broker before Kafka 2.8

# A gap that is found again, after a crash or with more of the log gone, is the same one.
RECORD: Final = f"""
INSERT INTO waybill_offset_gap (topic, "partition", first_offset, last_offset, read_until) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (topic, "partition", first_offset) WHERE {IS_OPEN}
DO UPDATE SET last_offset = excluded.last_offset, found_at = clock_timestamp(), awaited = NULL
RETURNING found_at
"""  # noqa: S608 - constants
# `awaited` has the newest event first: while that is not there, one look-up tells so.
FILL: Final = f"""
UPDATE waybill_offset_gap SET filled_at = clock_timestamp()
WHERE {IS_OPEN} AND awaited IS NOT NULL
  AND NOT EXISTS (SELECT FROM unnest(awaited) AS event_id
                  WHERE NOT EXISTS (SELECT FROM received WHERE msg_id = %s || ':' || event_id))
RETURNING {COLUMNS}
"""  # noqa: S608


class Start(NamedTuple):
    """The offset to read on from; the first and last offset that are missing before it, the last None if unknown."""

    offset: int
    missing: tuple[int, int | None] | None


def choose_start(wanted: int | None, low: int, high: int, *, created_anew: bool = False) -> Start:
    """Return where to read on in a log from `low` to before `high`; `wanted` is None where nothing was ever read."""
    if wanted is None:
        return Start(low, None)
    if created_anew or wanted > high:
        return Start(low, (wanted, None))
    if wanted < low:
        return Start(low, (wanted, low - 1))
    return Start(wanted, None)


class Starts:
    """Settle where each partition is read on; used by the thread that polls."""

    def __init__(self, group: str, kafka: Mapping[str, str], condition: Condition, retry_seconds: float) -> None:
        """Wait `retry_seconds` before the second attempt, and twice as long each time, LONGEST_WAIT at most."""
        self._group, self._condition, self._first_wait = group, condition, retry_seconds
        options: Any = {**kafka, "logger": SILENT}
        self.admin: Any = AdminClient(options)
        self._asked: Mapping[str, Future[Any]] = {}
        self._ask_at = time.monotonic() + WATCH_SECONDS
        self._answered_at: float | None = None
        self._unanswered_since: float | None = None
        self._pending: dict[Partition, bool] = {}
        self._topic_ids: dict[str, str] = {}
        self._wait, self._next_at = retry_seconds, 0.0
        self._failure: Exception | None = None
        self._refused: dict[str, str] = {}

    @property
    def pending(self) -> Collection[Partition]:
        """Return the partitions that are paused until they are settled."""
        return self._pending.keys()

    @property
    def topic_ids(self) -> Mapping[str, str]:
        """Return the ids of the topics that partitions were settled of."""
        return self._topic_ids

    @property
    def is_answered(self) -> bool:
        """Say whether a broker answered the admin client at its last two questions; not before the first one."""
        return self._answered_at is not None and time.monotonic() - self._answered_at < 2 * WATCH_SECONDS

    @property
    def hears_nothing(self) -> bool:
        """Say whether no broker answered the admin client at its last two questions; not before the first one."""
        return self._unanswered_since is not None and time.monotonic() - self._unanswered_since > 2 * WATCH_SECONDS

    def assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Take new partitions, paused; for `on_assign`."""
        consumer.incremental_assign(partitions)
        consumer.pause(partitions)
        for name in (GROUP, *(one.topic for one in partitions)):
            self._refused.pop(name, None)
        self._pending |= {(one.topic, one.partition): False for one in partitions}

    def out_of_range(self, topic: str, partition: int) -> None:
        """Note that a partition's next offset is not in the log: the client does not go on by itself."""
        self._pending[topic, partition] = True

    def refused(self, topic: str | None, reason: str) -> None:
        """Note that the broker lets us read a topic no more, or no topic by this group, until it assigns some again."""
        self._refused[topic or GROUP] = f"{reason}; outbox acls tells what the consumer must be allowed"
        self.tell()

    def watch(self, consumer: Consumer) -> None:
        """Pause and settle anew what belongs to a topic that was created anew meanwhile; blocks for nothing."""
        if self._asked and all(answer.done() for answer in self._asked.values()):
            found = self._hear()
            self._asked = {}
            anew = {topic for topic, topic_id in found.items() if topic_id != self._topic_ids.get(topic, topic_id)}
            again = [one for one in consumer.assignment() if one.topic in anew]
            consumer.pause(again)
            self._pending |= {(one.topic, one.partition): False for one in again}
        if not self._asked and self._topic_ids and time.monotonic() > self._ask_at:
            now = time.monotonic()
            self._ask_at = now + WATCH_SECONDS
            self._unanswered_since = self._unanswered_since or now
            self._asked = self._ask_ids(list(self._topic_ids))

    def _hear(self) -> dict[str, str]:
        """Return the ids that were asked for, none where that failed: they are asked for again."""
        try:
            found = topic_ids(self._asked)
        except KafkaException as error:
            if error.args[0].code() < 0:  # librdkafka's own, and no broker's answer
                return {}
            found = {}
        self._answered_at, self._unanswered_since = time.monotonic(), None
        return found

    def settle(self, consumer: Consumer) -> None:
        """Let what can be settled flow; blocks some 10 s at most where the broker does not answer."""
        if not self._pending:
            return
        owned = {(one.topic, one.partition) for one in consumer.assignment()}
        self._pending = {one: lost for one, lost in self._pending.items() if one in owned}
        if not self._pending or time.monotonic() < self._next_at:
            return
        try:
            self._settle(consumer)
        except Exception as error:
            if not _may_settle_later(error):
                raise
            connection.close()
            self._failure = error
            self._next_at = time.monotonic() + self._wait
            self._wait = min(LONGEST_WAIT, self._wait * 2)
            self.tell()
        else:
            self._failure, self._wait = None, self._first_wait
            self.tell()

    def _ask_ids(self, topics: list[str]) -> Mapping[str, Future[Any]]:
        return self.admin.describe_topics(TopicCollection(topics), request_timeout=ANSWER_SECONDS)

    def _ask_bounds(self, partitions: Collection[Partition]) -> Mapping[Partition, tuple[Future[Any], Future[Any]]]:
        """Ask where the logs begin and end, all at once and not over the connection that fetches.

        A broker answers a connection in sequence, and a fetch of partitions that have nothing new takes
        `fetch.wait.max.ms`: asked over that connection, each partition would wait for it once.
        """
        first, last = (
            self.admin.list_offsets({TopicPartition(*one): spec for one in partitions}, request_timeout=ANSWER_SECONDS)
            for spec in (OffsetSpec.earliest(), OffsetSpec.latest())
        )
        return {(at.topic, at.partition): (low, last[at]) for at, low in first.items()}

    def _settle(self, consumer: Consumer) -> None:
        topics = sorted({topic for topic, _ in self._pending})
        self._topic_ids |= topic_ids(self._ask_ids(topics))
        kept = positions.stored(topics)
        asked = [TopicPartition(*one) for one in self._pending]
        committed = {(one.topic, one.partition): one.offset for one in consumer.committed(asked, ANSWER_SECONDS)}
        bounds = self._ask_bounds(self._pending)
        failures: list[Exception] = []
        for place, lost in list(self._pending.items()):
            try:
                self._settle_one(consumer, place, committed[place], kept.get(place), bounds[place], lost=lost)
                del self._pending[place]
            except Exception as error:
                if not _may_settle_later(error):
                    raise
                failures.append(error)
        if failures:
            raise failures[0]

    def _settle_one(
        self,
        consumer: Consumer,
        place: Partition,
        committed: int,
        kept: Position | None,
        bounds: tuple[Future[Any], Future[Any]],
        *,
        lost: bool,
    ) -> None:
        at, topic_id = TopicPartition(*place), self._topic_ids.get(place[0])
        anew = bool(kept and kept.topic_id and kept.topic_id != (topic_id or kept.topic_id))
        if committed >= 0 and not lost and not anew:
            if kept is None:
                positions.move(*place, committed, topic_id)
            consumer.resume([at])
            return
        reached = consumer.position([at])[0].offset if lost else -1
        low, high = (answer.result(ANSWER_SECONDS).offset for answer in bounds)
        wanted = kept.next_offset if kept and anew else _first_known(reached, committed, kept)
        start = choose_start(wanted, low, high, created_anew=anew)
        if start.missing:
            # In this sequence a crash finds the same gap once more; without the commit each restart would.
            gap = _record(place, start.missing, kept)
            consumer.commit(offsets=[TopicPartition(*place, start.offset)], asynchronous=False)
            log.error("records missing", **gap._asdict(), goes_on_at=start.offset, remedy=gap.remedy(self._group))
        elif committed < 0 and kept:
            log.warning("committed offset is gone", place=f"{at.topic}/{at.partition}", goes_on_at=start.offset)
        # Of an empty partition too: the next start then knows that it was read.
        positions.move(*place, start.offset, topic_id)
        consumer.incremental_unassign([at])
        consumer.incremental_assign([TopicPartition(*place, start.offset)])
        consumer.resume([at])  # the pause outlives the assignment

    def tell(self) -> None:
        """Tell readiness what keeps partitions from being read, and of the gaps that are open."""
        reasons = [f"cannot tell where to read on: {one_line(self._failure)}"] if self._failure else []
        reasons += self._refused.values()
        try:
            gaps = _open_gaps(self._group)
        except Exception as error:
            if not may_succeed_later(error):
                raise
            connection.close()  # the next batch, or readiness, tells of the database
            if not reasons:
                return
            gaps = []
        if gaps:
            reasons.append(summary(gaps, self._group))
        if reasons:
            environment = self._failure is not None and classify(self._failure) is ErrorClass.ENVIRONMENT
            needed = environment or bool(gaps) or bool(self._refused)
            self._condition.fails("topic", "; ".join(reasons), operator_needed=needed)
        else:
            self._condition.recovered("topic")


def _may_settle_later(error: Exception) -> bool:
    return isinstance(error, KafkaException) or may_succeed_later(error)


def topic_ids(asked: Mapping[str, Future[Any]]) -> dict[str, str]:
    """Return the ids of the topics that are there; blocks until all are answered. Raises KafkaException."""
    found: dict[str, str] = {}
    for topic, answer in asked.items():
        try:
            found[topic] = str(answer.result(ANSWER_SECONDS).topic_id)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    return {topic: topic_id for topic, topic_id in found.items() if topic_id != NO_ID}


def _first_known(reached: int, committed: int, kept: Position | None) -> int | None:
    """Return the next offset: what the client reached, else what the group committed, else what the database has."""
    known = [offset for offset in (reached, committed) if offset >= 0]
    return known[0] if known else kept and kept.next_offset


def _record(place: Partition, missing: tuple[int, int | None], kept: Position | None) -> Gap:
    read_until = kept.read_until if kept else None
    with connection.cursor() as cursor:
        cursor.execute(RECORD, [*place, *missing, read_until])
        (found_at,) = cursor.fetchone()
    return Gap(*place, *missing, read_until, found_at)


def _open_gaps(group: str) -> list[Gap]:
    with connection.cursor() as cursor:
        cursor.execute(FILL, [group])
        for row in cursor.fetchall():
            log.info("missing records received", gap=str(Gap(*row)))
        cursor.execute(OPEN)
        return [Gap(*row) for row in cursor.fetchall()]
