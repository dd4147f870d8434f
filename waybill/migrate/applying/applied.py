"""One or more events of the other side, applied in the transaction that is open."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import structlog
from django.db import DataError, IntegrityError, connection

from waybill.contracts import codec
from waybill.contracts.event import Event
from waybill.database.sqlstate import cause_of
from waybill.deciders.outcomes import ConsumerStopped
from waybill.migrate import appending, reading
from waybill.migrate.applying import writing
from waybill.migrate.applying.inverse import EventRefused
from waybill.migrate.applying.receiving import Receiving
from waybill.migrate.mapping.conversions import RowRefused

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Whose rows are written: refusing triggers let it pass, and capture tells none of it back. How dates and times look in
# text is set as `reading` needs it. All of it is put back at the end: what else this transaction does is another's.
BEGIN: Final = """
SELECT was.zone, was.style, set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, YMD', true),
    set_config('waybill.applied', 'on', true), set_config('waybill.applied_source', %s, true)
FROM (SELECT current_setting('TimeZone') AS zone, current_setting('DateStyle') AS style OFFSET 0) AS was
"""
END: Final = """
SELECT set_config('TimeZone', %s, true), set_config('DateStyle', %s, true),
    set_config('waybill.applied', '', true), set_config('waybill.applied_source', '', true)
"""
# A handover waits for this lock, and this for a handover.
OWNER: Final = "SELECT is_owner FROM waybill_ownership WHERE source = %s FOR SHARE"
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
_SHOWN: Final = 200


class Conflict(Exception):
    """Rows of this side do not take what the event says, now; the message names the column and the remedy."""


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
        owns = _owns(cursor, receiving.source)
        changes = _newer(cursor, receiving, newest, owns=owns)
        if changes:
            _apply(cursor, receiving, changes)


@contextmanager
def _marked(cursor: Any, source: str) -> Generator[None]:
    cursor.execute(BEGIN, [source])
    zone, style, *_ = cursor.fetchone()
    yield
    cursor.execute(END, [zone, style])  # after an error the transaction is undone, and all of this with it


def _owns(cursor: Any, source: str) -> bool:
    cursor.execute(OWNER, [source])
    found = cursor.fetchone()
    if found is None:
        raise ConsumerStopped(
            f"{source}: events of another side, and this one counts as the owner until it is told otherwise: "
            "python -m waybill migrate receive on"
        )
    return found[0]


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
    there = {one.key: one for one in sorted(changes) if not one.is_deletion}
    gone = [one.key for one in changes if one.is_deletion]
    # A deletion of a key that is not known here stands under the aggregate's id, which is no key.
    known_keys = [one.key for one in changes if one.is_deletion and _is_key(receiving, one)]
    with _conflicts(receiving):
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
            raise EventRefused(_difference(receiving, key, one.event, event))
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


def _difference(receiving: Receiving, key: str, wanted: Event, found: Event | None) -> str:
    where = f"{receiving.row.table} {key}"
    if found is None:
        return f"{where}: written, and the row is not there: does a trigger or a rule of this side take it away?"
    told, here = wanted.to_avro(), found.to_avro()
    name = next(name for name in told if told[name] != here[name])
    columns = {one.field: f"{receiving.row.table}.{one.column.name}" for one in receiving.row.filled}
    columns |= {field: rows.table for field, rows in receiving.children.items()}
    at = columns.get(name, f"{receiving.row.table}, which keeps no column of it: the mapping says what it is")
    return (
        f"{where}: {name} is {_shown(told[name])}, and this side would tell {_shown(here[name])}: {at} holds it not as "
        "it is; give it the other side's type, or correct the mapping"
    )


@contextmanager
def _conflicts(receiving: Receiving) -> Generator[None]:
    """Say what a constraint or a type of this side has against an event, and what to do."""
    try:
        yield
    except IntegrityError as error:
        found = cause_of(error)
        if found is None:
            raise
        said = " ".join(filter(None, (found.diag.message_primary, found.diag.message_detail)))
        where = ".".join(filter(None, (found.diag.table_name, found.diag.column_name)))
        raise Conflict(f"{receiving.source}: {where}: {said}; {_REMEDIES.get(found.sqlstate or '', _ANY)}") from error
    except DataError as error:
        found = cause_of(error)
        said = (found and found.diag.message_primary) or str(error)
        raise EventRefused(
            f"{receiving.source}: {receiving.row.table}: {said}; give the column the other side's type, then redrive"
        ) from error


_ANY: Final = "change this side's constraint or row, then redrive"
_REMEDIES: Final[Mapping[str, str]] = {
    "23502": "map the column, or give it a default in [aggregates.….apply], then redrive",
    "23503": "once the row that is missing has come, or the row that still refers to it has gone, redrive",
    "23505": "a row here has that value: remove it if it is surplus, or redrive once its own event has come",
    "23514": "the other side allows what this side's constraint does not: change it, then redrive",
}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
