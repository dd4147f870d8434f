"""Copies of other services' data, built anew from the topics that they come from, while they are read and written.

    1. every record of these topics       through the service's own reactions, into temporary tables: they have the
                                          names of the real ones, and hide them from this session alone
    2. what came meanwhile                again, until little is left
    3. the real tables                    locked against writers; the last records read; rows that differ are set to
                                          what stands in the temporary ones; one transaction

Whoever reads the copies is never stopped and sees no hole: the rows of before, or those of after.

What is relied on:
- A copy is written from a record that is in a topic. So once no writer can commit, every row is from below the ends of
  the topics as they are then, and the temporary tables, read up to there, are all that is to be known.
- The consumer goes on where it was. What it writes afterwards is from an older version than the row has, and is left
  out, or is the same, or newer.

A record that cannot be read, or was removed from its topic, might be the one that a row is from. Then no row is removed
and none set to an older version than it has; the rest is done.

Rejected alternatives: the topics read again by the consumer itself, into the rows that stand (repairs no row that says
a version too high, and no row too many); tables emptied first (whoever reads them finds nothing for as long as it
takes); tables swapped by their names (an exclusive lock, which stops every reader, and rights that a service lacks).
"""

import json
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from django.db import connection, transaction
from psycopg import sql

from waybill.consumer import handling, positions
from waybill.consumer.message import Message
from waybill.consumer.polling import SILENT, read
from waybill.consumer.positions import Partition
from waybill.consumer.starts import topic_ids
from waybill.deciders import unit_of_work
from waybill.deciders.outcomes import Unavailable, Unreadable
from waybill.deciders.service import Copy, Service, command_of
from waybill.deciders.unit_of_work import Copied
from waybill.models import CopyRow
from waybill.runtime.settings import Settings

BATCH: Final = 1_000
FEW: Final = 1_000  # records: fewer are read while the tables are locked
CATCHING_UP: Final = 20
ANSWER_SECONDS: Final = 10.0
SILENT_SECONDS: Final = 30.0  # without a record, and without the end of a partition
LOCKED_SECONDS: Final = 10.0  # the same, while writers wait
LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout = '10s'"
SCHEMA: Final = """
SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE pg_class.oid = %s::regclass
"""
TEMPORARY: Final = "CREATE TEMPORARY TABLE {name} (LIKE {stands} INCLUDING ALL)"
LOCK: Final = "LOCK TABLE {stands} IN SHARE ROW EXCLUSIVE MODE"
# `complete`: the topics had every record, so what they do not say is not so.
DIFFER: Final = """
SELECT coalesce(stands.{key}, fresh.{key})::text, to_jsonb(stands)::text, to_jsonb(fresh)::text
FROM {stands} AS stands FULL JOIN pg_temp.{name} AS fresh ON stands.{key} = fresh.{key}
WHERE to_jsonb(stands) IS DISTINCT FROM to_jsonb(fresh)
  AND (%(complete)s OR stands.{key} IS NULL OR stands.source_version <= fresh.source_version)
ORDER BY 1
"""
REMOVE: Final = """
DELETE FROM {stands} AS stands
WHERE %(complete)s AND NOT EXISTS (SELECT FROM pg_temp.{name} AS fresh WHERE fresh.{key} = stands.{key})
"""
SET: Final = """
INSERT INTO {stands} AS stands ({columns}) SELECT {columns} FROM pg_temp.{name}
ON CONFLICT ({key}) DO UPDATE SET ({columns}) = ROW ({excluded})
WHERE to_jsonb(stands) IS DISTINCT FROM to_jsonb(excluded)
  AND (%(complete)s OR stands.source_version <= excluded.source_version)
"""
AUDIT: Final = (
    "INSERT INTO waybill_operator_action (operator, verb, reason, what) VALUES (%s, 'rebuild --copies', %s, %s::jsonb)"
)


class NoCopies(Exception):
    """The service keeps no copy of anybody's data."""


class Different(NamedTuple):
    """A row that the topics do not lead to, with the columns that differ; None where there is no row, or no record."""

    table: str
    key: str
    row: Mapping[str, Any] | None
    fresh: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how far the reading is, in records, of each row that differs, and why the topics are not complete."""

    progress: Callable[[int, int], object]
    differs: Callable[[Different], object]
    incomplete: Callable[[str], object]


class Record(NamedTuple):
    """Who has the copies set, and why."""

    by: str
    reason: str


def rebuild(service: Service, settings: Settings, watch: Watch, record: Record | None) -> None:
    """Read the topics from their first records on, tell what differs, and set it, where there is a record of it.

    Raises NoCopies, KafkaException, Unavailable where the broker gives no records, and what the database raises.
    """
    tables = _tables(service)
    if not tables:
        raise NoCopies(f"{service.name} keeps no copies of other services' data")
    with reading(service.name, set(_copied(service).values()), settings, watch) as topics:
        for table in tables:
            table.make_temporary()
        _read_until_little_is_left(service, topics)
        with transaction.atomic():
            if record is not None:
                _lock(tables)
            _read(service, topics, topics.ask_ends(), SILENT_SECONDS if record is None else LOCKED_SECONDS)
            found = [one for table in tables for one in table.differing(complete=topics.complete)]
            if record is not None and found:
                for table in tables:
                    table.set(complete=topics.complete)
                what = json.dumps({"rows": [one._asdict() for one in found]}, default=str)
                _execute(AUDIT, [record.by, record.reason, what])
        for one in found:
            watch.differs(one)


def _tables(service: Service) -> "list[_Table]":
    models = {m for m in vars(service.models).values() if isinstance(m, type) and issubclass(m, CopyRow)}
    return [_Table.of(m) for m in sorted(models - {CopyRow}, key=lambda m: m.__name__)]


def _read_until_little_is_left(service: Service, topics: "Topics") -> None:
    for _ in range(CATCHING_UP):
        ends = topics.ask_ends()
        if topics.left(ends) <= FEW:
            return
        _read(service, topics, ends, SILENT_SECONDS)


def _read(service: Service, topics: "Topics", ends: Mapping[Partition, int], silent_seconds: float) -> None:
    """Keep what the records up to these offsets say, in the tables that this session sees by their names."""
    copied = _copied(service)
    for messages in topics.until(ends, silent_seconds):
        copies: list[Copied] = []
        for message in messages:
            if message.event_type not in copied or not message.is_for(service.name):
                continue
            try:
                follows = handling.react(service, message)
                if isinstance(follows, Copy):
                    copies.append(Copied(follows, message.version))
            except Unreadable as error:
                topics.lacks(f"{message.place} cannot be read: {error}")
        with transaction.atomic():
            unit_of_work.save_copies(service, copies)


def _copied(service: Service) -> Mapping[str, str | None]:
    """Return the events that become copies, with their topics."""
    return {
        name: event.topic
        for name, (event, reaction) in service.reaction_to.items()
        if issubclass(command_of(reaction), Copy)
    }


def _lock(tables: "Sequence[_Table]") -> None:
    _execute(LOCK_TIMEOUT)
    for table in tables:
        table.lock()


def _execute(statement: Any, values: Any = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of copies, and the temporary one of its name."""

    name: str
    names: Mapping[str, sql.Composable]

    @classmethod
    def of(cls, model: Any) -> "_Table":
        meta = model._meta  # noqa: SLF001 - how Django is asked for a model's table
        with connection.cursor() as cursor:
            cursor.execute(SCHEMA, [meta.db_table])
            (schema,) = cursor.fetchone()
        columns = [sql.Identifier(one.column) for one in meta.concrete_fields]
        return cls(
            meta.db_table,
            {
                "name": sql.Identifier(meta.db_table),
                "stands": sql.Identifier(schema, meta.db_table),
                "key": sql.Identifier(meta.pk.column),
                "columns": sql.SQL(", ").join(columns),
                "excluded": sql.SQL(", ").join(sql.SQL("excluded.{}").format(one) for one in columns),
            },
        )

    def make_temporary(self) -> None:
        """Hide the table from this session, by an empty one of its name."""
        self._do(TEMPORARY)

    def lock(self) -> None:
        """Keep writers off, and let readers go on."""
        self._do(LOCK)

    def differing(self, *, complete: bool) -> list[Different]:
        """Return the rows that are to be set, or removed."""
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL(DIFFER).format(**self.names), {"complete": complete})  # type: ignore[arg-type]
            return [self._different(key, stands, fresh) for key, stands, fresh in cursor.fetchall()]

    def set(self, *, complete: bool) -> None:
        """Set the rows that differ, and remove those that no record leads to."""
        self._do(REMOVE, {"complete": complete})
        self._do(SET, {"complete": complete})

    def _different(self, key: str, stands: str | None, fresh: str | None) -> Different:
        row, wanted = (None if text is None else json.loads(text) for text in (stands, fresh))
        if row is not None and wanted is not None:
            apart = [name for name in row if row[name] != wanted[name]]
            row, wanted = {name: row[name] for name in apart}, {name: wanted[name] for name in apart}
        return Different(self.name, key, row, wanted)

    def _do(self, statement: str, values: Any = None) -> None:
        _execute(sql.SQL(statement).format(**self.names), values)  # type: ignore[arg-type]


@dataclass(slots=True)
class Topics:
    """Topics that are read by nobody's group: no offset is committed."""

    consumer: confluent_kafka.Consumer
    partitions: Sequence[Partition]
    watch: Watch
    reached: dict[Partition, int] = field(default_factory=dict[Partition, int])
    complete: bool = True
    done: int = 0

    def begin(self, topic_ids: Mapping[str, str]) -> None:
        """Start at the first records that there are."""
        kept = positions.stored(topic_ids)
        for one in self.partitions:
            low, end = self.consumer.get_watermark_offsets(TopicPartition(*one), ANSWER_SECONDS)
            self.reached[one] = low
            if low > 0:
                self.lacks(f"{one[0]}/{one[1]} begins at offset {low}: what came before was removed")
            if (known := kept.get(one)) is None:
                continue
            anew = known.topic_id is not None and known.topic_id != topic_ids.get(one[0], known.topic_id)
            if anew or known.next_offset > end:
                self.lacks(f"{one[0]}/{one[1]} is not the log that was consumed up to offset {known.next_offset}")
        self.consumer.assign([TopicPartition(*one, self.reached[one]) for one in self.partitions])

    def lacks(self, reason: str) -> None:
        """Note that not every record is there."""
        self.complete = False
        self.watch.incomplete(reason)

    def ask_ends(self) -> dict[Partition, int]:
        """Return the offsets behind the last records, as they are now."""
        asked = {one: TopicPartition(*one) for one in self.partitions}
        return {one: self.consumer.get_watermark_offsets(at, ANSWER_SECONDS)[1] for one, at in asked.items()}

    def left(self, ends: Mapping[Partition, int]) -> int:
        """Return how many offsets there are up to these ends."""
        return sum(max(0, end - self.reached[one]) for one, end in ends.items())

    def until(self, ends: Mapping[Partition, int], silent_seconds: float) -> Iterator[list[Message]]:
        """Yield what is not read yet up to these ends, and perhaps a little more; blocks. Raises Unavailable."""
        heard_at = time.monotonic()
        while left := self.left(ends):
            polled = self.consumer.consume(BATCH, 0.5)
            messages = [read(raw) for raw in polled if raw.error() is None]
            ended = [raw for raw in polled if (error := raw.error()) and error.code() == KafkaError._PARTITION_EOF]  # noqa: SLF001
            for message in messages:
                self.reached[message.topic, message.partition] = message.offset + 1
            for raw in ended:  # behind the last record, transactions' markers or removed records may stand
                place = str(raw.topic()), int(raw.partition() or 0)
                self.reached[place] = max(self.reached[place], int(raw.offset() or 0))
            if messages or ended:
                heard_at = time.monotonic()
                self.done += len(messages)
                self.watch.progress(self.done, self.done + left)
                yield messages
            elif time.monotonic() - heard_at > silent_seconds:
                raise Unavailable(f"Kafka gave no record for {silent_seconds:.0f} s, and {left} are to be read")


@contextmanager
def reading(name: str, topics: Collection[str | None], settings: Settings, watch: Watch) -> Generator[Topics]:
    """Give these topics from their first records on, for a reader of that name. Raises KafkaException."""
    consumer = confluent_kafka.Consumer(
        {
            **settings.kafka,
            "group.id": f"{name}.copies",  # the client wants one; nothing is committed
            "client.id": f"{name}.rebuild",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "logger": SILENT,
        }
    )
    try:
        found = Topics(consumer, list(_partitions(topics, consumer)), watch)
        found.begin(_topic_ids(settings, {topic for topic, _ in found.partitions}))
        yield found
    finally:
        consumer.close()


def _topic_ids(settings: Settings, topics: Collection[str]) -> dict[str, str]:
    options: dict[str, Any] = {**settings.kafka, "logger": SILENT}
    admin: Any = AdminClient(options)  # kept until the answers are there
    return topic_ids(admin.describe_topics(TopicCollection(list(topics)), request_timeout=ANSWER_SECONDS))


def _partitions(topics: Collection[str | None], consumer: confluent_kafka.Consumer) -> Iterator[Partition]:
    for topic in sorted(filter(None, topics)):
        described = consumer.list_topics(topic, ANSWER_SECONDS).topics[topic]
        if described.error is not None:
            raise KafkaException(described.error)
        yield from ((topic, partition) for partition in sorted(described.partitions))
