"""Keys out of the queue, aggregates as they stand, events into the outbox: `waybill migrate run`.

One transaction takes a batch of keys, locks them, reads their aggregates in a later statement, and writes events,
digests and what was set aside; each event begins a story of its own. Any number of these programs may run: they pass
over queue rows that another has, and whoever gets the lock on a key second reads what is there after the first has
committed.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from django.db import connections, transaction

from waybill.contracts import codec
from waybill.contracts.codec import UnwritableEvent
from waybill.contracts.event import Event
from waybill.contracts.topics import topics
from waybill.migrate import reading
from waybill.migrate.mapping.building import Built
from waybill.migrate.mapping.conversions import RowRefused
from waybill.observability.telemetry import Cause, new_id
from waybill.outbox.appending import append_caused
from waybill.outbox.outbox import HEADER_BYTES

BATCH: Final = 500
# What the other side owns is told by that side alone. A row that another program has taken is passed over: it will
# read the aggregate itself, under the key's lock.
TAKE: Final = """
DELETE FROM waybill_capture WHERE id = ANY(ARRAY(
    SELECT id FROM waybill_capture WHERE source = ANY(%s)
    AND source NOT IN (SELECT source FROM waybill_ownership WHERE NOT is_owner)
    ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))
RETURNING source, key
"""
# Every session takes these in one sequence. The name keeps them apart from the locks on aggregates.
LOCK: Final = """
SELECT pg_advisory_xact_lock(hashtextextended('waybill_capture ' || source || ' ' || key, 0))
FROM unnest(%s::text[], %s::text[]) AS wanted (source, key)
"""
TRUNCATED: Final = """
INSERT INTO waybill_capture (source, key) SELECT source, key FROM waybill_capture_state
WHERE source = ANY(%s) AND digest IS NOT NULL
"""
KNOWN: Final = "SELECT key, digest, version FROM waybill_capture_state WHERE source = %s AND key = ANY(%s)"
REMEMBER: Final = """
INSERT INTO waybill_capture_state AS known (source, key, aggregate_id, digest, version)
SELECT %s, key, aggregate_id, digest, version
FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::int[]) AS new (key, aggregate_id, digest, version)
ON CONFLICT (source, key) DO UPDATE
SET aggregate_id = excluded.aggregate_id, digest = excluded.digest, version = excluded.version,
    appended_at = clock_timestamp()
"""
RELEASE: Final = "DELETE FROM waybill_capture_held WHERE source = %s AND key = ANY(%s)"
HOLD: Final = """
INSERT INTO waybill_capture_held AS held (source, key, reason)
SELECT %s, key, reason FROM unnest(%s::text[], %s::text[]) AS new (key, reason)
ON CONFLICT (source, key) DO UPDATE SET reason = excluded.reason, held_at = clock_timestamp()
"""
TRY_AGAIN: Final = """
WITH held AS (DELETE FROM waybill_capture_held WHERE source = ANY(%s) RETURNING source, key)
INSERT INTO waybill_capture (source, key) SELECT source, key FROM held
"""


@dataclass
class Done:
    """What became of the keys that were taken."""

    taken: int = 0
    """Rows of the queue; 0 where there was none."""
    appended: int = 0
    deleted: int = 0
    unchanged: int = 0
    held: int = 0

    def add(self, other: "Done") -> None:
        """Count another batch too."""
        for name in ("taken", "appended", "deleted", "unchanged", "held"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


class _Known(NamedTuple):
    digest: bytes | None = None
    version: int = 0


class _Change(NamedTuple):
    key: str
    aggregate_id: str
    digest: bytes | None
    """None: it is told to be deleted."""
    event: Event
    after: int
    """The last version that is known here, of an event that was appended or applied."""

    @property
    def identity(self) -> tuple[str, str]:
        return self.event.aggregate_type, self.event.aggregate_id


@dataclass
class _Found:
    changes: list[_Change] = field(default_factory=list[_Change])
    unchanged: int = 0
    refused: dict[str, str] = field(default_factory=dict[str, str])


def try_held_again(sources: Sequence[str], using: str) -> None:
    """Queue what was set aside: the mapping or the rows may be other ones today."""
    with transaction.atomic(using), connections[using].cursor() as cursor:
        cursor.execute(TRY_AGAIN, [list(sources)])


def drain_once(mapped: Mapping[str, Built], using: str, *, batch: int = BATCH) -> Done:
    """Handle one batch of the queue, in a transaction of its own. Raises what the database raises."""
    done = Done()
    with transaction.atomic(using), connections[using].cursor() as cursor:
        reading.begin(cursor)
        cursor.execute(TAKE, [list(mapped), batch])
        taken = cursor.fetchall()
        done.taken = len(taken)
        keys = _distinct(cursor, taken)
        _lock(cursor, keys)
        for source, wanted in keys.items():
            found = _look(cursor, mapped[source], wanted)
            _note(cursor, source, wanted, found, _append(found.changes, using))
            done.appended += sum(change.digest is not None for change in found.changes)
            done.deleted += sum(change.digest is None for change in found.changes)
            done.unchanged += found.unchanged
            done.held += len(found.refused)
    return done


def _append(changes: Sequence[_Change], using: str) -> list[int]:
    """Append the events; returns their versions."""
    if not changes:
        return []
    caused = [(change.event, Cause(correlation_id=new_id())) for change in changes]
    appended = append_caused(caused, using, after={change.identity: change.after for change in changes})
    return [one.version for one in appended]


def _distinct(cursor: Any, taken: Iterable[tuple[str, str | None]]) -> dict[str, list[str]]:
    """Return the keys by source, each once; a truncated table's keys are queued instead."""
    keys: defaultdict[str, set[str]] = defaultdict(set)
    truncated: set[str] = set()
    for source, key in taken:
        if key is None:
            truncated.add(source)
        else:
            keys[source].add(key)
    if truncated:
        cursor.execute(TRUNCATED, [sorted(truncated)])
    return {source: sorted(keys[source]) for source in sorted(keys)}


def _lock(cursor: Any, keys: Mapping[str, Sequence[str]]) -> None:
    pairs = [(source, key) for source, wanted in keys.items() for key in wanted]
    if pairs:
        cursor.execute(LOCK, [[source for source, _ in pairs], [key for _, key in pairs]])


def _look(cursor: Any, built: Built, keys: Sequence[str]) -> _Found:
    found = _Found()
    rows = reading.of_keys(cursor, built, keys)
    cursor.execute(KNOWN, [built.aggregate.name, list(keys)])
    known = {key: _Known(digest and bytes(digest), version or 0) for key, digest, version in cursor.fetchall()}
    for key in keys:
        try:
            change = _change(built, key, rows.get(key), known.get(key, _Known()))
        except (RowRefused, UnwritableEvent) as error:
            found.refused[key] = str(error)
            continue
        if change is None:
            found.unchanged += 1
        else:
            found.changes.append(change)
    return found


def _change(built: Built, key: str, row: reading.Row | None, known: _Known) -> _Change | None:
    """Return what is to be appended; None where the state is that of the last event. Raises RowRefused."""
    event = built.state(row) if row is not None else None
    if event is None:
        if known.digest is None:  # never told of, or told to be deleted
            return None
        return _Change(key, built.aggregate_id(key), None, _fitting(built.deletion(key))[0], known.version)
    event, digest = _fitting(event)
    return None if known.digest == digest else _Change(key, event.aggregate_id, digest, event, known.version)


def _fitting(event: Event) -> tuple[Event, bytes]:
    """Return the event and its digest. Raises RowRefused where its topic does not take it."""
    payload = codec.encode(event)
    limit = next((topic.max_message_bytes for topic in topics() if topic.name == event.topic), None)
    if limit is not None and len(payload) + HEADER_BYTES > limit:
        raise RowRefused(f"its event takes {len(payload)} bytes; {event.topic} takes {limit}")
    return event, digest_of(event, payload)


def digest_of(event: Event, payload: bytes) -> bytes:
    """Return what tells whether a row still is as its last event says; `payload` is that event's."""
    return hashlib.sha256(event.event_type.encode() + payload).digest()


def _note(cursor: Any, source: str, keys: Sequence[str], found: _Found, versions: Sequence[int]) -> None:
    changes = found.changes
    if changes:
        columns = [[c.key for c in changes], [c.aggregate_id for c in changes], [c.digest for c in changes]]
        cursor.execute(REMEMBER, [source, *columns, list(versions)])
    cursor.execute(RELEASE, [source, [key for key in keys if key not in found.refused]])
    if found.refused:
        cursor.execute(HOLD, [source, list(found.refused), list(found.refused.values())])
