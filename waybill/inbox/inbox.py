"""Received once, or a dead letter where it could not be handled (django-outbox-pattern's `Received`).

A row is written in the transaction of the effect. A dead letter stands FAILED with its reason and its bytes,
and later messages of its key become dead letters behind it, so that a redrive can release them in sequence.

One whose schema id nobody has registered yet waits for that (`headers->>'schema_id'`), and those behind it with it: the
consumer redrives them once the id is registered, for WAITING_DAYS by the database's clock.

Of a dead letter `body` has the exact bytes (base64) of key, headers and value: what a redrive handles. `headers` has
what operators read and choose by: readable text of bounded length, whatever the bytes are.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django_outbox_pattern.choices import StatusChoice  # pyright: ignore[reportMissingTypeStubs] - it has none

from waybill.consumer.message import Message, cut, readable
from waybill.deciders.outcomes import Unreadable
from waybill.observability.telemetry import new_id

REASON_CHARACTERS = 8_000  # of a reason: an error may quote a whole value
HEADER_CHARACTERS = 1_000  # of each header, for people; `body` has all of it

# One that comes again changes nothing. The program makes the ids, which rise with time: PostgreSQL itself does from
# version 18 on.
ADD = """
INSERT INTO received (id, msg_id, headers, body, added, expires_at, retry, status)
VALUES (%s, %s, %s, %s, now(), now() + make_interval(days => %s), 0, %s)
ON CONFLICT (msg_id) DO NOTHING
"""

# The dead letters of these keys are locked, so that a message that is to wait behind them is there before a redrive can
# release them, or flows after it; what waits is not noted here. A message that comes again returns nothing, whether it
# was handled or is a dead letter.
RECEIVE = """
WITH blocked AS MATERIALIZED (
    SELECT headers->>'topic' AS topic, headers->>'key' AS key, (headers->>'schema_id')::int AS schema_id
    FROM received
    WHERE status = -1 AND headers->>'key' = ANY(%(blocking)s::text[]) AND headers->>'consumer' = %(consumer)s
    FOR SHARE
), noted AS (
    INSERT INTO received (id, msg_id, added, expires_at, retry, status)
    SELECT id, msg_id, now(), now() + make_interval(days => %(days)s), 0, %(status)s
    FROM unnest(%(ids)s::uuid[], %(msg_ids)s::text[], %(topics)s::text[], %(keys)s::text[])
         AS new (id, msg_id, topic, key)
    WHERE NOT EXISTS (SELECT FROM blocked WHERE blocked.topic = new.topic AND blocked.key = new.key)
    ON CONFLICT (msg_id) DO NOTHING
    RETURNING msg_id
)
SELECT msg_id, NULL, NULL, NULL FROM noted UNION ALL SELECT NULL, topic, key, schema_id FROM blocked
"""

# By id, which rises with time: neither a clock nor a scan. What was redriven counts as handled; what waits for its
# schema id does not count, because another release of this code would not handle it either.
LATEST = """
SELECT count(DISTINCT (headers->>'topic', headers->>'key')) FILTER (WHERE status = -1 AND headers->'schema_id' IS NULL),
       count(*) FILTER (WHERE status <> -1)
FROM (SELECT status, headers FROM received ORDER BY id DESC LIMIT %s) AS latest
"""
LATEST_ROWS = 100  # whose keys decide whether the code is at fault

# What a dead letter waits for, those behind it wait for too.
NOTE_REASON = """
UPDATE received SET headers = (received.headers - 'schema_id')
    || jsonb_strip_nulls(jsonb_build_object('schema_id', %s::int))
    || CASE WHEN received.id = failed.id
            THEN jsonb_build_object('reason', %s::text, 'traceback', %s::text) ELSE '{}' END
FROM (SELECT id, headers FROM received WHERE id = %s AND status = -1) AS failed
WHERE received.status = -1 AND received.headers->>'consumer' = failed.headers->>'consumer'
  AND received.headers->>'topic' = failed.headers->>'topic' AND received.headers->>'key' = failed.headers->>'key'
"""
BEHIND = "behind a dead letter of its key"  # commands and metrics know it by its first word

# The partial index received_parked holds dead letters alone.
REGISTERED = """
SELECT id
FROM (SELECT id, (headers->>'schema_id')::int AS schema_id,
             min(added) OVER (PARTITION BY headers->>'topic', headers->>'key') AS since
      FROM received
      WHERE status = -1 AND headers->>'schema_id' IS NOT NULL AND headers->>'consumer' = %s) AS waiting
JOIN waybill_schema_id USING (schema_id)
WHERE since > now() - make_interval(days => %s)
"""
WAITING_DAYS = 1  # a schema that was not registered within a day of a key's first dead letter needs an operator

# `added` has the index; the row's own date decides. So many at once: the consumer handles nothing meanwhile.
FORGET = """
DELETE FROM received WHERE id IN (
    SELECT id FROM received
    WHERE added < now() - make_interval(days => %s) AND expires_at < now() AND status <> -1
    ORDER BY added LIMIT %s)
"""


class Receipt(NamedTuple):
    """What became of messages that came."""

    fresh: set[str]
    """The inbox ids that are here for the first time."""
    blocked: dict[tuple[str, str], int | None]
    """The (topic, key) pairs that have a dead letter already, and the schema id that it waits for."""


def receive(consumer: str, messages: Sequence[Message], *, retention_days: int, redriven: bool = False) -> Receipt:
    """Note the messages as received of which none waits behind a dead letter; one that is redriven never does.

    An event that is to be handled again counts as received too: should it come by itself later, that is a copy.
    One whose id nobody can read is not noted.
    """
    ids = {f"{consumer}:{known_by}": (known_by, m) for m in messages for known_by in _known_by(m)}
    values = {
        "consumer": consumer,
        "blocking": [] if redriven else list({m.key for m in messages}),
        "days": retention_days,
        "status": StatusChoice.SUCCEEDED,
        "ids": [new_id() for _ in ids],
        "msg_ids": list(ids),
        "topics": [m.topic for _, m in ids.values()],
        "keys": [m.key for _, m in ids.values()],
    }
    with connection.cursor() as cursor:
        cursor.execute(RECEIVE, values)
        found = cursor.fetchall()
    fresh = {ids[msg_id][0] for msg_id, *_ in found if msg_id is not None}
    return Receipt(fresh, {(topic, key): schema_id for msg_id, topic, key, schema_id in found if msg_id is None})


def _known_by(message: Message) -> Sequence[str]:
    try:
        return message.inbox_id, message.event_id
    except Unreadable:
        return ()


def add_dead_letter(
    consumer: str,
    message: Message,
    reason: str,
    *,
    retention_days: int,
    schema_id: int | None = None,
    traced: str | None = None,
) -> None:
    """Keep a message that could not be handled, with the reason and a defect's traceback, until a redrive.

    That is an operator's, or where it waits for a schema id the consumer's own.
    """
    headers, body = stored(consumer, message, reason)
    if traced is not None:
        headers["traceback"] = _text_lines(traced)
    if schema_id is not None:
        headers["schema_id"] = schema_id
    with connection.cursor() as cursor:
        known_by = message.received_as(consumer)
        values = [new_id(), known_by, json.dumps(headers), json.dumps(body), retention_days, StatusChoice.FAILED]
        cursor.execute(ADD, values)


def stored(consumer: str, message: Message, reason: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return `headers` and `body` of a dead letter's row; `read_stored` is the way back."""
    headers = {
        "consumer": consumer,
        "topic": message.topic,
        "key": message.key,
        "place": message.place,
        "reason": cut(readable(reason), REASON_CHARACTERS),
        "record": {readable(name): cut(value, HEADER_CHARACTERS) for name, value in message.headers.items()},
    }
    body = {
        "key": _base64(message.raw_key),
        "headers": [[name, _base64(value)] for name, value in message.raw_headers],
        "value": _base64(message.value),
        "timestamp_ms": message.timestamp_ms,
        "unreadable": message.unreadable,
    }
    return headers, body


def read_stored(headers: Mapping[str, Any], body: Mapping[str, Any]) -> Message:
    """Return the message of a dead letter's row, as it came; of rows before version 0.2 as far as they tell."""
    topic, partition, offset = headers["place"].rsplit("/", 2)
    if "headers" in body:
        key = _bytes(body["key"])
        raw_headers = tuple((name, _bytes(value)) for name, value in body["headers"])
    else:
        key = headers["key"].encode()
        raw_headers = tuple((name, value.encode()) for name, value in headers["record"].items())
    value, timestamp_ms = _bytes(body["value"]), body.get("timestamp_ms", 0)
    unreadable = body.get("unreadable", "")
    return Message(topic, int(partition), int(offset), key, raw_headers, value, timestamp_ms, unreadable)


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def note_reason(row_id: UUID, reason: str, schema_id: int | None, traced: str | None = None) -> None:
    """Keep with a dead letter why it failed again, and which schema id its key waits for now."""
    said = cut(readable(reason), REASON_CHARACTERS)
    with connection.cursor() as cursor:
        cursor.execute(NOTE_REASON, [schema_id, said, traced and _text_lines(traced), row_id])


def _text_lines(text: str) -> str:
    """Return text of several lines as the database takes it, each of them readable."""
    return "\n".join(map(readable, text.splitlines()))


def registered(consumer: str) -> set[UUID]:
    """Return the dead letters that waited for a schema id which is registered by now."""
    with connection.cursor() as cursor:
        cursor.execute(REGISTERED, [consumer, WAITING_DAYS])
        return {row_id for (row_id,) in cursor.fetchall()}


def latest() -> tuple[int, int]:
    """Return of the last messages how many keys are blocked for good, and how many messages were handled."""
    with connection.cursor() as cursor:
        cursor.execute(LATEST, [LATEST_ROWS])
        return cursor.fetchone()


def forget(retention_days: int, at_most: int) -> int:
    """Remove the ids of messages that are older than the inbox remembers; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [retention_days, at_most])
        return cursor.rowcount
