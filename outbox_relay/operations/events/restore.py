"""`outbox restore`: a row that was deleted from an outbox, put back from its record on the topic.

The record holds the event as it was: id, version, time, causes and the payload. What it does not hold is the position.
The row gets a free one between the versions before and after it, the nearest in time: so its aggregate's versions rise
with the positions again, and the fold meets the event where it was. The cursor has passed that position, so the relay
does not publish it again.

No position may be handed out to a transaction under way, which would then fail. SHARE ROW EXCLUSIVE waits for all that
write to the outbox and holds back those to come, so a position that is missing under it is free for good.

A private event never reached a topic: it comes back from a backup only.
"""

import argparse
import os
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from confluent_kafka import Message
from psycopg.types.json import Jsonb

from outbox_relay.cli import screen
from outbox_relay.cli.verb import DONE, MISMATCH, Given, Verb, add_execution, named, refuse_silent_execution
from outbox_relay.databases import full_name
from outbox_relay.operations import audit
from outbox_relay.operations.dead_letters.dead_letters import offset, partition
from outbox_relay.operations.topics import topic
from outbox_relay.operations.topology import DependencyDown, Topology, UsageError, session
from waybill.contracts import codec
from waybill.database.sqlstate import one_line

OWNER: Final = "WAYBILL_OWNER_DATABASE_URL"
METADATA: Final = {
    "ce_correlationid": "correlation_id",
    "ce_causationid": "causation_id",
    "traceparent": "traceparent",
    "tracestate": "tracestate",
}
LARGEST_VERSION: Final = 2**31 - 1
LARGEST_DIGITS: Final = 10

MEANING: Final = "SELECT event_type, schema_version, schema FROM waybill_schema_id WHERE schema_id = %s"
TAKEN: Final = """
SELECT event_id, position FROM waybill_outbox
WHERE event_id = %(event_id)s
   OR (aggregate_type = %(aggregate_type)s AND aggregate_id = %(key)s AND aggregate_version = %(version)s)
"""
# The nearest in time of the ranges of free positions between the versions before and after; above the last row there is
# one up to the cursor, which had passed the row that is gone.
FREE: Final = """
WITH bounds AS (
    SELECT coalesce(max(position) FILTER (WHERE aggregate_version < %(version)s), 0) AS low,
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
LOCK: Final = "LOCK TABLE waybill_outbox IN SHARE ROW EXCLUSIVE MODE"
INSERT: Final = """
INSERT INTO waybill_outbox (position, event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                    schema_version, payload, metadata, recorded_at) OVERRIDING SYSTEM VALUE
VALUES (%(position)s, %(event_id)s, %(topic)s, %(aggregate_type)s, %(key)s, %(version)s, %(event_type)s,
        %(schema_version)s, %(payload)s, %(metadata)s, %(recorded_at)s)
"""


class Refused(Exception):
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


def _restore(given: Given, topology: Topology) -> int:
    refuse_silent_execution(given)
    services = named(given, topology)
    if len(services) > 1:
        raise UsageError("a record has one service that wrote it; give --service once")
    (service,) = services
    url = _owner_url() if given.execute else topology.databases[service]
    try:
        with session(topology.databases[service]) as connection, session(url) as owner:
            _refuse_another(connection, owner)
            message = topic.at(topology.broker, given.topic, given.partition, given.offset)
            lost = read(connection, service, message)
            position = (
                restore(owner, lost, given.by, given.reason) if given.execute else find_position(connection, lost)
            )
    except Refused as refused:
        screen.tell(f"{given.topic}/{given.partition}/{given.offset}: {refused}")
        return MISMATCH
    except psycopg.Error as error:
        raise DependencyDown(f"database {service}: {one_line(error)}") from None
    line = {"service": service, "position": position, **lost._asdict(), "payload": f"{len(lost.payload)} bytes"}
    (screen.put_json if given.json else screen.put_table)([line])
    done = (
        "restored; check it: outbox verify --full"
        if given.execute
        else f"dry run; --execute needs --reason and {OWNER}"
    )
    screen.tell(done)
    return DONE


def read(connection: psycopg.Connection, service: str, message: Message | None) -> Lost:
    """Return the row that the record was made from; raises Refused where it is no event of this service."""
    if message is None:
        raise Refused("the topic has no such record")
    headers = _headers(message)
    source = f"/waybill/{full_name(service)}"
    if headers.get("ce_source") != source:
        raise Refused(f"written by {headers.get('ce_source', 'nobody known')!r}, and not by {source}")
    try:
        schema_id, payload = codec.unframe(bytes(message.value() or b""))
        found = connection.execute(MEANING, (schema_id,)).fetchone()
        event_type, schema_version, written_with = found or (None, 0, None)
        if event_type is None or event_type != headers.get("ce_type"):
            raise Refused(f"schema id {schema_id} is {event_type or 'unknown'}, the record {headers.get('ce_type')!r}")
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
        raise Refused(f"no known event: {error.reason}") from None
    except (KeyError, ValueError) as error:
        raise Refused(f"its headers do not tell the row: {error}") from None
    if (lost.key, lost.topic) != (event.aggregate_id, event.topic):
        raise Refused(f"the event is of {event.aggregate_id} on {event.topic}; the record has the key {lost.key!r}")
    return lost


def find_position(connection: psycopg.Connection, lost: Lost) -> int:
    """Return the position that the row would get. Raises Refused, psycopg.Error."""
    for event_id, position in connection.execute(TAKEN, lost.values()):
        if event_id == lost.event_id:
            raise Refused(f"event {event_id} is in the outbox, at position {position}")
        raise Refused(f"version {lost.version} of {lost.key} is taken by event {event_id}, at position {position}")
    found = connection.execute(FREE, lost.values()).fetchone()
    if found is None:
        raise Refused(f"no position is free between the versions before and after version {lost.version}")
    return found[0]


def restore(owner: psycopg.Connection, lost: Lost, by: str, reason: str) -> int:
    """Insert the row, on record; returns its position. Writers wait meanwhile. Raises Refused, psycopg.Error."""
    with owner.transaction():
        owner.execute("SET LOCAL lock_timeout = '10s'")
        owner.execute(LOCK)
        position = find_position(owner, lost)
        owner.execute(INSERT, lost.values() | {"position": position})
        what = {"position": position, "event_id": str(lost.event_id), "topic": lost.topic, "key": lost.key}
        audit.record(owner, "restore", reason, what | {"version": lost.version}, by)
    return position


def _owner_url() -> str:
    url = os.environ.get(OWNER)
    if not url:
        raise UsageError(f"{OWNER} is not set: only the owner of the outbox may choose a position, as for `migrate`")
    return url


def _refuse_another(connection: psycopg.Connection, owner: psycopg.Connection) -> None:
    """Refuse an owner's URL that leads to another database than the service's."""
    names = [one.execute("SELECT current_database()").fetchone() for one in (connection, owner)]
    if names[0] != names[1]:
        raise UsageError(f"{OWNER} leads to database {names[1]}, and the service has {names[0]}")


def _headers(message: Message) -> dict[str, str]:
    try:
        return {
            name: value.decode() if isinstance(value, bytes) else value or "" for name, value in message.headers() or ()
        }
    except UnicodeDecodeError as error:
        raise Refused(f"a header is not UTF-8: {error}") from None


def _version(given: str) -> int:
    if not given.isdecimal() or len(given) > LARGEST_DIGITS or not 0 < int(given) <= LARGEST_VERSION:
        raise ValueError(f"ce_sequence {given[:LARGEST_DIGITS]!r} is no version")
    return int(given)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--topic", required=True, help="the topic that has the record")
    parser.add_argument("--partition", type=partition, metavar="N", required=True, help="its partition")
    parser.add_argument("--offset", type=offset, metavar="N", required=True, help="its offset")
    add_execution(parser)


RESTORE: Final = Verb(
    _restore,
    "Put a row that was deleted from an outbox back from its record: without --execute, show it. The database's owner "
    f"writes it, by the URL in {OWNER}. Private events have no record and come back from a backup only.",
    "outbox restore --service order --topic order.events.v1 --partition 0 --offset 1207",
    _arguments,
)
