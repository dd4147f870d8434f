"""Whether a service holds what the project's rows are mapped to: range by range of keys, then key by key.

A range is read on both sides and compared row by row. What differs is a suspect, for the service is always a little
behind: suspects are read again on both sides until they agree, or until the time for that has passed. What still
differs then, while nothing of it waits to be read or changes any more, is reported with its fields.

From the other side, the service's keys are held against those of the project, for rows that should not be there.

Rows travel and not checksums of ranges: an id is made of a key, which only this side can do, so neither database could
make a checksum of both by itself.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

import psycopg
from django.db import connections, transaction
from psycopg.rows import tuple_row

from waybill.migrate import reading, tables
from waybill.migrate.mapping import counterpart
from waybill.migrate.mapping.building import Built
from waybill.migrate.mapping.conversions import TIME, RowRefused
from waybill.migrate.mapping.document import MappingError, Service

PORTION: Final = 2_000
ROUND_SECONDS: Final = 1.0
TYPE: Final = """
SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
"""
# A key that was told of, and whose row is still there: all that the service may hold.
OURS: Final = """
SELECT known.aggregate_id, known.key FROM waybill_capture_state AS known
WHERE known.source = %s AND known.aggregate_id = ANY(%s)
"""

State = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One aggregate that is not the same on both sides; `fields` has the service's columns: here, there."""

    key: str | None
    aggregate_id: str
    what: str
    """`missing`, `not to be there`, `differs` or `refused`."""
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict[str, tuple[Any, Any]])


@dataclass
class Verified:
    """What was compared, and what is not the same."""

    aggregate: str
    compared: int = 0
    again: int = 0
    """Suspects that were read again and agreed."""
    differences: list[Difference] = field(default_factory=list[Difference])


class Sides:
    """The project's rows and the service's, each by what the service knows it by."""

    def __init__(self, built: Built, using: str, service: psycopg.Connection[Any]) -> None:
        """Ask the service's database for its columns. Raises MappingError where one is not there."""
        assert built.aggregate.service is not None
        self.built, self.using, self.there = built, using, service
        self.service: Service = built.aggregate.service
        self._alike = counterpart.build(built, service.cursor()) if self.service.by == "key" else None
        found = dict(service.execute(TYPE, [tables.identifier(self.service.table)]).fetchall())
        for name in (self.service.key, *self.service.columns):
            if name not in found:
                raise MappingError(f"{built.aggregate.name}.service: {self.service.table} has no column {name}")
        self.key_type = str(found[self.service.key])
        if self._alike is None:
            columns = ", ".join(_in_json(name, str(found[name])) for name in self.service.columns)
            self._columns = f"p.{tables.identifier(self.service.key)}::text, jsonb_build_array({columns})"
        else:
            self._columns = ", ".join(self._alike.columns)

    @property
    def is_by_key(self) -> bool:
        """Tell whether rows have the same keys on both sides."""
        return self._alike is not None

    def known_as(self, key: str) -> str:
        """Return what the service knows a row by. Raises RowRefused."""
        return key if self.is_by_key else self.built.aggregate_id(key)

    def ours(self, row: reading.Row) -> State:
        """Return what the service should hold of a row; None where nothing. Raises RowRefused."""
        event = self.built.state(row)
        if event is None:
            return None
        return counterpart.state(self.service, event.to_avro())

    def theirs(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return what the service holds of these."""
        key, table = tables.identifier(self.service.key), tables.identifier(self.service.table)
        statement = f"SELECT {self._columns} FROM {table} AS p WHERE p.{key} = ANY("  # noqa: S608 - quoted
        where = f"%s::{self.key_type}[]) AND ({_literal(self.service.where)})"
        rows = self.there.execute(cast("Any", _literal(statement) + where), [list(ids)]).fetchall()
        if self._alike is not None:
            return {row[0]: found for row in rows if (found := self._alike.state(row)) is not None}
        return {key: dict(zip(self.service.columns, values, strict=True)) for key, values in rows}

    def their_ids(self) -> Iterator[list[str]]:
        """Yield the ids of all that came this way, in portions."""
        key, table = tables.identifier(self.service.key), tables.identifier(self.service.table)
        last: str | None = None
        while True:
            after = "" if last is None else f" AND {key} > %s::{self.key_type}"
            statement = f"SELECT {key}::text AS id FROM {table} AS t WHERE ({_literal(self.service.where)})"  # noqa: S608 - quoted
            values = [PORTION] if last is None else [last, PORTION]
            asked = cast("Any", f"{statement}{after} ORDER BY t.{key} LIMIT %s")
            rows = [row[0] for row in self.there.execute(asked, values).fetchall()]
            if not rows:
                return
            yield rows
            last = rows[-1]


def verify(sides: Sides, *, settle_seconds: float, told: Callable[[int, int], object], expected: int = 0) -> Verified:
    """Compare both sides; suspects have so many seconds to agree. Raises what either database raises."""
    verified = Verified(sides.built.aggregate.name)
    suspects: dict[str, str | None] = {}
    with _reading(sides.using) as cursor:
        for rows in reading.everything(cursor, sides.built, PORTION):
            suspects |= {one.aggregate_id: one.key for one in _compared(sides, {row[0]: row for row in rows})}
            verified.compared += len(rows)
            told(verified.compared, max(expected, verified.compared))
    for ids in sides.their_ids():
        suspects |= {one.aggregate_id: one.key for one in _surplus(sides, ids)}
    verified.differences = _settled(sides, suspects, settle_seconds)
    verified.again = len(suspects) - len(verified.differences)
    return verified


def _settled(sides: Sides, suspects: dict[str, str | None], seconds: float) -> list[Difference]:
    """Read suspects again until none is left, or until the time has passed."""
    deadline = time.monotonic() + seconds
    left = again(sides, suspects)
    while left and time.monotonic() < deadline:
        time.sleep(min(ROUND_SECONDS, max(0.0, deadline - time.monotonic())))
        left = again(sides, {one.aggregate_id: one.key for one in left})
    return left


def again(sides: Sides, suspects: dict[str, str | None]) -> list[Difference]:
    """Compare these once, keys by ids; without a key, of one that the service should not have."""
    keys = [key for key in suspects.values() if key is not None]
    left: list[Difference] = []
    for first in range(0, len(keys), PORTION):
        portion = keys[first : first + PORTION]
        with _reading(sides.using) as cursor:
            rows = reading.of_keys(cursor, sides.built, portion)
        left += _compared(sides, {key: rows.get(key) for key in portion})
    unknown = [one for one, key in suspects.items() if key is None]
    left += [
        one for first in range(0, len(unknown), PORTION) for one in _surplus(sides, unknown[first : first + PORTION])
    ]
    return left


def _compared(sides: Sides, rows: dict[str, reading.Row | None]) -> list[Difference]:
    there = sides.theirs([sides.known_as(key) for key in rows])
    found: list[Difference] = []
    for key, row in rows.items():
        theirs, aggregate_id = there.get(sides.known_as(key)), sides.built.aggregate_id(key)
        try:
            ours = sides.ours(row) if row is not None else None
        except RowRefused as error:
            found.append(Difference(key, aggregate_id, f"refused: {error}"))
            continue
        if ours is None and theirs is not None:
            found.append(Difference(key, aggregate_id, "not to be there"))
        elif ours is not None and theirs is None:
            found.append(Difference(key, aggregate_id, "missing"))
        elif ours is not None and theirs is not None and ours != theirs:
            fields = {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}
            found.append(Difference(key, aggregate_id, "differs", fields))
    return found


def _surplus(sides: Sides, ids: Sequence[str]) -> list[Difference]:
    """Return what the service holds and the project has no row for."""
    there = sides.theirs(ids)
    if sides.is_by_key:
        with _reading(sides.using) as cursor:
            here = reading.of_keys(cursor, sides.built, list(there))
        wrong = (key for key in there if key not in here or here[key][1] == "t")
        return [Difference(key, sides.built.aggregate_id(key), "not to be there") for key in wrong]
    with _reading(sides.using) as cursor:
        cursor.execute(OURS, [sides.built.aggregate.name, list(there)])
        known: dict[str, str] = dict(cursor.fetchall())
        rows = reading.of_keys(cursor, sides.built, list(known.values()))
    return [
        Difference(known.get(one), one, "not to be there")
        for one in there
        if (key := known.get(one)) is None or key not in rows or rows[key][1] == "t"
    ]


@contextmanager
def _reading(using: str) -> Generator[Any]:
    with transaction.atomic(using), connections[using].cursor() as cursor:
        reading.begin(cursor)
        yield cursor


@contextmanager
def connected(url: str) -> Generator[psycopg.Connection[Any]]:
    """Connect to the service's database, to read only. Raises OperationalError."""
    options = "-c default_transaction_read_only=on -c TimeZone=UTC -c DateStyle=ISO,YMD"  # as `reading` has it here
    with psycopg.connect(url, autocommit=True, row_factory=tuple_row, options=options) as connection:
        yield connection


def _in_json(name: str, kind: str) -> str:
    column = f"p.{tables.identifier(name)}"
    if kind == TIME:  # as the mapping tells a time
        return f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    return column


def _literal(statement: str) -> str:
    return statement.replace("%", "%%")
