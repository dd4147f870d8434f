"""One or more events of the other side, applied in the transaction that is open."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import structlog
from django.db import connection

from waybill.contracts import codec
from waybill.contracts.event import Event
from waybill.deciders.outcomes import ConsumerStopped
from waybill.migrate import appending, reading
from waybill.migrate.applying import refusals, writing
from waybill.migrate.applying.inverse import EventRefused
from waybill.migrate.applying.receiving import Receiving
from waybill.migrate.applying.refusals import Conflict
from waybill.migrate.mapping.conversions import RowRefused

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Whose rows are written: refusing triggers let it pass, and capture tells none of it back. How dates and times look in
# text is set as `reading` needs it. All of it is put back at the end: what else this transaction does is another's.
BEGIN: Final = """
SELECT was.zone, was.style, set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, YMD', true),
    set_config('waybill.applied_source', %s, true)
FROM (SELECT current_setting('TimeZone') AS zone, current_setting('DateStyle') AS style OFFSET 0) AS was
"""
END: Final = """
SELECT set_config('TimeZone', %s, true), set_config('DateStyle', %s, true),
    set_config('waybill.applied_source', '', true)
"""
# A handover waits for this lock, and this for a handover.
OWNER: Final = "SELECT is_owner, finished_at IS NOT NULL FROM waybill_ownership WHERE source = %s FOR SHARE"
KEYS: Final = "SELECT aggregate_id, key FROM waybill_capture_state WHERE source = %s AND aggregate_id = ANY(%s)"
# By the id, since a deletion may be of a key that is not known here.
KNOWN: Final = """
SELECT aggregate_id, coalesce(max(version), 0) FROM waybill_capture_state
WHERE source = %s AND aggregate_id = ANY(%s) GROUP BY aggregate_id
"""
# What stood for a key that was not known when its deletion came.
FORGET: Final = """
DELETE FROM waybill_capture_state AS known USING unnest(%s::text[], %s::text[]) AS now (aggregate_id, key)
WHERE known.source = %s AND known.aggregate_id = now.aggregate_id AND known.key <> now.key
"""


class Received(NamedTuple):
    """An event of the other side."""

    event: Event
    version: int


class _Change(NamedTuple):
    key: str
    event: Event
    version: int
    is_deletion: bool


def apply(receiving: Receiving, received: Sequence[Received]) -> None:
    """Write what the events say, in the transaction that is open; of an aggregate only the newest counts.

    Raises:
        EventRefused: This side cannot hold it.
        Conflict: Other rows are in the way, or are missing.
        ConsumerStopped: Nobody has said yet which side this is.

    """
    newest: dict[str, Received] = {}
    for one in received:
        before = newest.get(one.event.aggregate_id)
        if before is None or before.version <= one.version:
            newest[one.event.aggregate_id] = one
    with connection.cursor() as cursor, _marked(cursor, receiving.source):
        owns, is_finished = _owner(cursor, receiving.source)
        if is_finished and not owns:  # its tables may be gone
            return
        changes = _newer(cursor, receiving, newest, owns=owns)
        if changes:
            _apply(cursor, receiving, changes)


@contextmanager
def _marked(cursor: Any, source: str) -> Generator[None]:
    cursor.execute(BEGIN, [source])
    zone, style, *_ = cursor.fetchone()
    yield
    cursor.execute(END, [zone, style])  # after an error the transaction is undone, and all of this with it


def _owner(cursor: Any, source: str) -> tuple[bool, bool]:
    cursor.execute(OWNER, [source])
    found = cursor.fetchone()
    if found is None:
        raise ConsumerStopped(
            f"{source}: events of another side, and this one counts as the owner until it is told otherwise: "
            "python -m waybill migrate receive on"
        )
    return found


def _newer(cursor: Any, receiving: Receiving, newest: Mapping[str, Received], *, owns: bool) -> list[_Change]:
    """Return what is to be applied, with the lock on each key."""
    changes = _changes(cursor, receiving, newest)
    cursor.execute(appending.LOCK, [[receiving.source] * len(changes), sorted(one.key for one in changes)])
    cursor.execute(KNOWN, [receiving.source, list(newest)])
    known: dict[str, int] = dict(cursor.fetchall())
    newer = [one for one in changes if one.version >= known.get(one.event.aggregate_id, 0)]
    for one in changes:
        if one not in newer:
            log.info("older version not applied", source=receiving.source, key=one.key, version=one.version)
    if not owns:
        return newer
    for one in newer:
        if one.version > known.get(one.event.aggregate_id, 0):
            raise EventRefused(
                f"{receiving.source} {one.key}: version {one.version} of the former owner came after the handover, and "
                "this side owns the rows now: compare both sides (python -m waybill migrate verify), then discard it"
            )
    return []


def _changes(cursor: Any, receiving: Receiving, newest: Mapping[str, Received]) -> list[_Change]:
    made: list[_Change] = []
    without_key: list[Received] = []
    for one in newest.values():
        is_deletion = not isinstance(one.event, receiving.built.event)
        how = receiving.erased_key_of if is_deletion else receiving.key_of
        if how is None:
            without_key.append(one)
        else:
            made.append(_Change(_key(receiving, how, one.event), *one, is_deletion))
    if without_key:
        cursor.execute(KEYS, [receiving.source, [one.event.aggregate_id for one in without_key]])
        known: dict[str, str] = dict(cursor.fetchall())
        ids = [one.event.aggregate_id for one in without_key]
        made += [
            _Change(known.get(id_, id_), *one, is_deletion=True) for id_, one in zip(ids, without_key, strict=True)
        ]
    return made


def _key(receiving: Receiving, how: tuple[str, Any], event: Event) -> str:
    field, convert = how
    key = convert(event.to_avro()[field])
    if key is None:
        raise EventRefused(f"{receiving.row.table}.{receiving.built.aggregate.key}: {field} is null, and is the key")
    return key


def _apply(cursor: Any, receiving: Receiving, changes: Sequence[_Change]) -> None:
    there = {one.key: one for one in sorted(changes, key=lambda one: one.key) if not one.is_deletion}
    gone = [one.key for one in changes if one.is_deletion]
    # A deletion of a key that is not known here stands under the aggregate's id, which is no key.
    known_keys = [one.key for one in changes if one.is_deletion and _is_key(receiving, one)]
    with refusals.named(receiving):
        if known_keys:
            writing.delete(cursor, receiving, known_keys)
        if there:
            writing.write(cursor, receiving, {key: one.event.to_avro() for key, one in there.items()})
        for when in ("IMMEDIATE", "DEFERRED") if receiving.deferred else ():
            cursor.execute(f"SET CONSTRAINTS {', '.join(receiving.deferred)} {when}".replace("%", "%%"), [])
    _check(cursor, receiving, there, known_keys)
    digests = {key: appending.digest_of(one.event, codec.encode(one.event)) for key, one in there.items()}
    columns = [
        [one.key for one in changes],
        [one.event.aggregate_id for one in changes],
        [digests.get(one.key) for one in changes],
        [one.version for one in changes],
    ]
    cursor.execute(appending.REMEMBER, [receiving.source, *columns])
    cursor.execute(FORGET, [columns[1], columns[0], receiving.source])
    cursor.execute(appending.RELEASE, [receiving.source, [*there, *gone]])


def _is_key(receiving: Receiving, one: _Change) -> bool:
    return receiving.erased_key_of is not None or one.key != one.event.aggregate_id


def _check(cursor: Any, receiving: Receiving, there: Mapping[str, _Change], gone: Sequence[str]) -> None:
    """Raise EventRefused unless the rows as they stand tell what the events say."""
    rows = reading.of_keys(cursor, receiving.built, [*there, *gone])
    for key, one in there.items():
        try:
            event = receiving.built.state(rows[key]) if key in rows else None
        except RowRefused as error:
            raise EventRefused(f"{receiving.row.table} {key}: what was written cannot be told: {error}") from None
        if event != one.event:
            _refuse_rows_of_another(cursor, receiving, key, one.event)
            raise EventRefused(refusals.difference(receiving, key, one.event, event))
    for key in gone:
        if key in rows and receiving.built.state(rows[key]) is not None:
            raise EventRefused(f"{receiving.row.table} {key}: deleted, and the row is there all the same: a rule?")


def _refuse_rows_of_another(cursor: Any, receiving: Receiving, key: str, event: Event) -> None:
    datum = event.to_avro()
    for name, child in receiving.children.items():
        found = writing.of_another(cursor, child, [(key, line) for line in datum[name]])
        if found is not None:
            raise Conflict(
                f"{receiving.row.table} {key}: {child.table} {found[0]} is a row of {receiving.row.table} {found[1]} "
                "here; redrive once that one's event without it has come, or discard this event if it is the older one"
            )
