"""A row that was deleted from an outbox, put back from its record on the topic.

The record holds the event as it was: id, version, time, causes and the payload. What it does not hold is the position.
The row gets a free one between the versions before and after it, the nearest in time: so its aggregate's versions rise
with the positions again, and the fold meets the event where it was. The cursor has passed that position, so the relay
does not publish it again. Where no position is free, as in a database that was restored to an earlier state, an event
beyond its aggregate's last one gets the next position of all: the relay publishes a copy, which whoever has it drops.

No position may be handed out to a transaction under way, which would then fail. SHARE ROW EXCLUSIVE waits for all that
write to the outbox and holds back those to come, so a position that is missing under it is free for good.

A private event never reached a topic: it comes back from a backup only.
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from confluent_kafka import Message
from psycopg.types.json import Jsonb

from outbox_relay.operations import audit, names
from outbox_relay.operations.owner import owning
from outbox_relay.operations.partitions import layout
from outbox_relay.operations.topics import topic
from outbox_relay.operations.topology import DependencyDown, Topology, session
from outbox_relay.relay.kafka.records import source_of
from waybill.contracts import codec
from waybill.database.sqlstate import one_line

METADATA: Final = {
    "ce_correlationid": "correlation_id",
    "ce_causationid": "causation_id",
    "traceparent": "traceparent",
    "tracestate": "tracestate",
}
LARGEST_VERSION: Final = 2**31 - 1  # of the column; what a header claims beyond it is no version
LARGEST_DIGITS: Final = 10

MEANING: Final = "SELECT event_type, schema_version, schema FROM waybill_schema_id WHERE schema_id = %s"
TAKEN: Final = """
SELECT event_id, position FROM waybill_outbox
WHERE event_id = %(event_id)s
   OR (aggregate_type = %(aggregate_type)s AND aggregate_id = %(key)s AND aggregate_version = %(version)s)
"""
LATER: Final = """
SELECT 1 FROM waybill_outbox
WHERE aggregate_type = %(aggregate_type)s AND aggregate_id = %(key)s AND aggregate_version > %(version)s LIMIT 1
"""
ARCHIVED: Final = """
SELECT 1 FROM waybill_aggregate_version
WHERE aggregate_id = %(key)s AND aggregate_type = %(aggregate_type)s AND archived >= %(version)s
"""
# The nearest in time of the ranges of free positions between the versions before and after; above the last row there is
# one up to the cursor, which had passed the row that is gone.
FREE: Final = """
WITH bounds AS (
    SELECT coalesce(max(position) FILTER (WHERE aggregate_version < %(version)s),
                    (SELECT max(last) FROM waybill_outbox_archive WHERE dropped_at IS NOT NULL), 0) AS low,
           coalesce(min(position) FILTER (WHERE aggregate_version > %(version)s),
                    (SELECT greatest(cursor.position, (SELECT max(position) FROM waybill_outbox)) + 1
                     FROM waybill_outbox_cursor AS cursor)) AS high
    FROM waybill_outbox WHERE aggregate_type = %(aggregate_type)s AND aggregate_id = %(key)s
), neighbours AS (
    SELECT position, recorded_at FROM waybill_outbox, bounds WHERE position BETWEEN low AND high
    UNION SELECT low, NULL FROM bounds WHERE NOT EXISTS (SELECT FROM waybill_outbox WHERE position = low)
    UNION SELECT high, NULL FROM bounds WHERE NOT EXISTS (SELECT FROM waybill_outbox WHERE position = high)
), ranges AS (
    SELECT position + 1 AS free, recorded_at AS since, lead(position) OVER following AS next,
           lead(recorded_at) OVER following AS until
    FROM neighbours WINDOW following AS (ORDER BY position)
)
SELECT free FROM ranges WHERE next > free
ORDER BY greatest(date_part('epoch', since - %(recorded_at)s::timestamptz),
                  date_part('epoch', %(recorded_at)s::timestamptz - until), 0), free
LIMIT 1
"""
# Waits for writers and keeps new ones out, and lets readers go on: see above for why positions need it.
LOCK: Final = "LOCK TABLE waybill_outbox IN SHARE ROW EXCLUSIVE MODE"
# A partitioned log notes the last version of each aggregate and takes none below it; TAKEN has looked.
WITHOUT_NOTING: Final = "ALTER TABLE waybill_outbox DISABLE TRIGGER waybill_note_versions"
NOTING: Final = "ALTER TABLE waybill_outbox ENABLE TRIGGER waybill_note_versions"
NOTE: Final = """
INSERT INTO waybill_aggregate_version AS known (aggregate_id, aggregate_type, version, appended)
VALUES (%(key)s, %(aggregate_type)s, %(version)s, 1)
ON CONFLICT (aggregate_id, aggregate_type) DO UPDATE SET version = greatest(known.version, excluded.version)
"""
INSERT: Final = """
INSERT INTO waybill_outbox (position, event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                    schema_version, payload, metadata, recorded_at) OVERRIDING SYSTEM VALUE
VALUES (coalesce(%(position)s, nextval('waybill_outbox_position_seq')),
        %(event_id)s, %(topic)s, %(aggregate_type)s, %(key)s, %(version)s, %(event_type)s,
        %(schema_version)s, %(payload)s, %(metadata)s, %(recorded_at)s)
RETURNING position
"""


class NotRestorable(Exception):
    """The row cannot be restored; the message says why."""


class Lost(NamedTuple):
    """The row, as its record tells it; but for its position."""

    event_id: UUID
    topic: str
    aggregate_type: str
    key: str
    version: int
    event_type: str
    schema_version: int
    payload: bytes
    metadata: dict[str, str]
    recorded_at: datetime

    def values(self) -> dict[str, Any]:
        """Return what the statements ask for."""
        return self._asdict() | {"metadata": Jsonb(self.metadata)}


def find(topology: Topology, service: str, name: str, partition: int, offset: int) -> tuple[Lost, int | None]:
    """Return the row that a record was made from, and the position it would get; None: the next one of all.

    Raises NotRestorable, DependencyDown.
    """
    message = topic.at(topology.broker, name, partition, offset)
    with _connected(topology, service) as connection:
        lost = read(connection, service, message)
        return lost, find_position(connection, lost)


def restore(topology: Topology, service: str, owner_url: str, lost: Lost, by: str, reason: str) -> int:
    """Put the row back as the database's owner, on record; returns its position. Writers wait meanwhile.

    Raises NotRestorable, UsageError, DependencyDown.
    """
    with owning(topology, service, owner_url) as owner:
        return _insert(owner, lost, by, reason)


@contextmanager
def _connected(topology: Topology, service: str) -> Generator[psycopg.Connection]:
    try:
        with session(topology.databases[service]) as connection:
            yield connection
    except psycopg.Error as error:
        raise DependencyDown(f"database {service}: {one_line(error)}") from None


def read(connection: psycopg.Connection, service: str, message: Message | None) -> Lost:
    """Return the row that the record was made from; raises NotRestorable where it is no event of this service."""
    if message is None:
        raise NotRestorable("the topic has no such record")
    headers = _headers(message)
    source = source_of(names.recorded(service, connection).group)
    if headers.get("ce_source") != source:
        raise NotRestorable(f"written by {headers.get('ce_source', 'nobody known')!r}, and not by {source}")
    try:
        schema_id, payload = codec.unframe(bytes(message.value() or b""))
        found = connection.execute(MEANING, (schema_id,)).fetchone()
        event_type, schema_version, written_with = found or (None, 0, None)
        if event_type is None or event_type != headers.get("ce_type"):
            raise NotRestorable(
                f"schema id {schema_id} is {event_type or 'unknown'}, the record {headers.get('ce_type')!r}"
            )
        event = codec.decode(event_type, schema_version, payload, written_with)
        lost = Lost(
            UUID(headers["ce_id"]),
            message.topic() or "",
            event.aggregate_type,
            bytes(message.key() or b"").decode(),
            _version(headers["ce_sequence"]),
            event_type,
            schema_version,
            payload,
            {field: headers[name] for name, field in METADATA.items() if name in headers},
            datetime.fromisoformat(headers["ce_time"]),
        )
    except codec.UnreadableEvent as error:
        raise NotRestorable(f"no known event: {error.reason}") from None
    except (KeyError, ValueError) as error:
        raise NotRestorable(f"its headers do not tell the row: {error}") from None
    if (lost.key, lost.topic) != (event.aggregate_id, event.topic):
        raise NotRestorable(
            f"the event is of {event.aggregate_id} on {event.topic}; the record has the key {lost.key!r}"
        )
    return lost


def find_position(connection: psycopg.Connection, lost: Lost) -> int | None:
    """Return the position that the row would get, None for the next one of all. Raises NotRestorable, psycopg.Error."""
    for event_id, position in connection.execute(TAKEN, lost.values()):
        if event_id == lost.event_id:
            raise NotRestorable(f"event {event_id} is in the outbox, at position {position}")
        raise NotRestorable(
            f"version {lost.version} of {lost.key} is taken by event {event_id}, at position {position}"
        )
    if connection.execute(ARCHIVED, lost.values()).fetchone():
        raise NotRestorable(f"version {lost.version} of {lost.key} is archived")
    found = connection.execute(FREE, lost.values()).fetchone()
    if found is not None:
        return found[0]
    if connection.execute(LATER, lost.values()).fetchone():
        raise NotRestorable(f"no position is free between the versions before and after version {lost.version}")
    return None


def _insert(owner: psycopg.Connection, lost: Lost, by: str, reason: str) -> int:
    with owner.transaction():
        owner.execute("SET LOCAL lock_timeout = '10s'")
        owner.execute(LOCK)
        position = find_position(owner, lost)
        partitioned = layout.is_partitioned(owner)
        if partitioned:
            owner.execute(WITHOUT_NOTING)
        (position,) = owner.execute(INSERT, lost.values() | {"position": position}).fetchone() or (0,)
        if partitioned:
            owner.execute(NOTING)
            owner.execute(NOTE, lost.values())
        what = {"position": position, "event_id": str(lost.event_id), "topic": lost.topic, "key": lost.key}
        audit.record(owner, "restore", reason, what | {"version": lost.version}, by)
    return position


def _headers(message: Message) -> dict[str, str]:
    try:
        return {
            name: value.decode() if isinstance(value, bytes) else value or "" for name, value in message.headers() or ()
        }
    except UnicodeDecodeError as error:
        raise NotRestorable(f"a header is not UTF-8: {error}") from None


def _version(given: str) -> int:
    if not given.isdecimal() or len(given) > LARGEST_DIGITS or not 0 < int(given) <= LARGEST_VERSION:
        raise ValueError(f"ce_sequence {given[:LARGEST_DIGITS]!r} is no version")
    return int(given)
