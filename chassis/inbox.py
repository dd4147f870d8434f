"""Received once, and parked where it could not be handled (django-outbox-pattern's `Received`).

A row is written in the transaction of the effect. A message that is parked stands FAILED with its reason and its bytes,
and later messages of its key are parked behind it, so that a redrive can release them in sequence.
"""

import base64
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from django.db import connection
from django_outbox_pattern.choices import StatusChoice  # pyright: ignore[reportMissingTypeStubs] - it has none

from chassis.outcomes import Unreadable

# A message that comes again returns nothing, whether it was handled or parked.
RECEIVE = """
INSERT INTO received (id, msg_id, headers, body, added, expires_at, retry, status)
SELECT uuidv7(), msg_id, headers::jsonb, body::jsonb, now(), now() + make_interval(days => %s), 0, %s
FROM unnest(%s::text[], %s::text[], %s::text[]) AS new (msg_id, headers, body)
ON CONFLICT (msg_id) DO NOTHING
RETURNING msg_id
"""

# Locked, so that a message parked behind these is there before a redrive can release them, or flows after it.
PARKED_KEYS = """
SELECT headers->>'topic', headers->>'key' FROM received
WHERE status = -1 AND headers->>'key' = ANY(%s) AND headers->>'consumer' = %s
FOR SHARE
"""

# By id, which rises with time: neither a clock nor a scan. What was redriven counts as handled.
LATEST = """
SELECT count(DISTINCT (headers->>'topic', headers->>'key')) FILTER (WHERE status = -1),
       count(*) FILTER (WHERE status <> -1)
FROM (SELECT status, headers FROM received ORDER BY id DESC LIMIT %s) AS latest
"""
LATEST_ROWS = 100

# `added` has the index; the row's own date decides. So many at once: the consumer handles nothing meanwhile.
FORGET = """
DELETE FROM received WHERE id IN (
    SELECT id FROM received
    WHERE added < now() - make_interval(days => %s) AND expires_at < now() AND status <> -1
    ORDER BY added LIMIT %s)
"""

VERSION = re.compile("[1-9][0-9]{0,8}")  # fits the column, which has room for 2,147,483,647


@dataclass(frozen=True)
class Message:
    """A record as it came from a topic."""

    topic: str
    partition: int
    offset: int
    key: str
    headers: dict[str, str]
    value: bytes | None
    timestamp_ms: int

    @property
    def event_type(self) -> str | None:
        """Return the event's Avro full name, where the header is there."""
        return self.headers.get("ce_type")

    @cached_property
    def event_id(self) -> str:
        """Return the event's id; raises Unreadable where the header is missing or no UUID."""
        given = self.headers.get("ce_id", "")
        try:
            return str(UUID(given))
        except ValueError:
            raise Unreadable(f"header ce_id is {given!r}, not a UUID") from None

    @cached_property
    def inbox_id(self) -> str:
        """Return what the inbox knows the message by: the event's id, and the replay's if that wants it handled again.

        Raises Unreadable as `event_id` does.
        """
        if self.headers.get("ce_replayreprocess") != "true":
            return self.event_id
        try:
            return f"{self.event_id}:{UUID(self.headers.get('ce_replayid', '')).hex}"
        except ValueError:
            raise Unreadable("header ce_replayreprocess without a replay's id in ce_replayid") from None

    @property
    def version(self) -> int:
        """Return the version that the event gave its aggregate; raises Unreadable where the header has none."""
        given = self.headers.get("ce_sequence", "")
        if not VERSION.fullmatch(given):
            raise Unreadable(f"header ce_sequence is {given[:40]!r}, not an aggregate's version")
        return int(given)

    def is_for(self, consumer: str) -> bool:
        """Say whether the record is for this consumer group; a replay may name one."""
        return self.headers.get("ce_replaytarget", consumer) == consumer

    @property
    def place(self) -> str:
        """Return where the record stands, for logs and as the id of one that has none."""
        return f"{self.topic}/{self.partition}/{self.offset}"


def receive(consumer: str, messages: Sequence[Message], *, keep_days: int) -> set[str]:
    """Note the messages as received; returns the inbox ids that are here for the first time.

    An event that is to be handled again counts as received too: should it come by itself later, that is a copy.
    """
    ids = {f"{consumer}:{known_by}": known_by for m in messages for known_by in (m.inbox_id, m.event_id)}
    if not ids:
        return set()
    nothing = [None] * len(ids)
    with connection.cursor() as cursor:
        cursor.execute(RECEIVE, [keep_days, StatusChoice.SUCCEEDED, list(ids), nothing, nothing])
        return {ids[row[0]] for row in cursor.fetchall()}


def parked_keys(consumer: str, messages: Iterable[Message]) -> set[tuple[str, str]]:
    """Return the (topic, key) pairs among these that already have a parked message."""
    with connection.cursor() as cursor:
        cursor.execute(PARKED_KEYS, [list({m.key for m in messages}), consumer])
        return set(cursor.fetchall())


def park(consumer: str, message: Message, reason: str, *, keep_days: int) -> None:
    """Keep a message that could not be handled, with the reason, until an operator redrives it."""
    try:
        message_id = f"{consumer}:{message.inbox_id}"
    except Unreadable:
        message_id = f"{consumer}:{message.place}"
    headers = {
        "consumer": consumer,
        "topic": message.topic,
        "key": message.key,
        "place": message.place,
        "reason": reason[:8000],
        "record": message.headers,
    }
    body = {"value": None if message.value is None else base64.b64encode(message.value).decode()}
    with connection.cursor() as cursor:
        values = [keep_days, StatusChoice.FAILED, [message_id], [json.dumps(headers)], [json.dumps(body)]]
        cursor.execute(RECEIVE, values)


def latest() -> tuple[int, int]:
    """Return of the last messages how many keys are parked, and how many messages were handled."""
    with connection.cursor() as cursor:
        cursor.execute(LATEST, [LATEST_ROWS])
        return cursor.fetchone()


def forget(keep_days: int, at_most: int) -> int:
    """Remove the ids of messages that are older than the inbox remembers; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [keep_days, at_most])
        return cursor.rowcount
