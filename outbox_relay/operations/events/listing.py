"""Events as they stand in an outbox: chosen by filters that combine, shown with their payload decoded."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from outbox_relay.operations import decisions
from outbox_relay.operations.topology import UsageError
from waybill.application import event_classes
from waybill.contracts import codec

UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
LARGEST_POSITION: Final = 2**63 - 1
SLACK: Final = 1_000  # positions by which `recorded_at` may fall behind its neighbours
BEGINNING: Final = datetime.min.replace(tzinfo=UTC)

# A condition whose value is NULL holds for every row; the plan is made with the values known, so they cost nothing.
CHOSEN: Final = """
    (%(aggregate_type)s::text IS NULL OR aggregate_type = %(aggregate_type)s)
AND (%(aggregate_id)s::text IS NULL OR aggregate_id = %(aggregate_id)s)
AND (%(event_types)s::text[] IS NULL OR event_type = ANY(%(event_types)s::text[]))
AND (%(event_id)s::uuid IS NULL OR event_id = %(event_id)s)
AND position BETWEEN %(first)s AND %(last)s
AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s)
AND (%(until)s::timestamptz IS NULL OR recorded_at < %(until)s)
"""
EVENT: Final = """
    %(service)s::text AS service, position, event_id, topic, aggregate_type, aggregate_id, aggregate_version,
    event_type, schema_version, payload, metadata, recorded_at
"""
NEWEST: Final = f"""
SELECT * FROM (SELECT {EVENT} FROM waybill_outbox WHERE {CHOSEN} ORDER BY position DESC LIMIT %(limit)s) AS newest
ORDER BY position
"""  # noqa: S608 - put together from constants
AMONG: Final = f"""
SELECT {EVENT} FROM waybill_outbox WHERE position = ANY(%(among)s) AND {CHOSEN} ORDER BY position
"""  # noqa: S608
NEXT: Final = "SELECT position, recorded_at FROM waybill_outbox WHERE position > %s ORDER BY position LIMIT 1"
# Of a row of waybill_outbox, beside `waybill_outbox_cursor AS cursor` and the row of `published` that it may have.
STANDS: Final = f"""
       CASE WHEN waybill_outbox.topic IS NULL THEN 'private'
            WHEN {decisions.IS_DISCARDED} THEN 'discarded'
            WHEN published.status <> 2 THEN 'dead letter: ' || coalesce(published.headers->>'detail', '')
            WHEN waybill_outbox.position > cursor.position THEN 'waiting'
            WHEN EXISTS (SELECT FROM generate_series(1, cardinality(cursor.missing), 2) AS n
                         WHERE waybill_outbox.position BETWEEN cursor.missing[n]
                         AND cursor.missing[n + 1]) THEN 'waiting'
            ELSE 'published' END
"""
STANDING: Final = f"""
SELECT {STANDS}
FROM waybill_outbox_cursor AS cursor, waybill_outbox LEFT JOIN published ON published.id = waybill_outbox.event_id
WHERE waybill_outbox.position = %s
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are meant: all conditions that are given must hold. `until` is exclusive, positions inclusive.

    Of several event types any will do.
    """

    aggregate_type: str | None = None
    aggregate_id: str | None = None
    event_types: tuple[str, ...] = ()
    event_id: UUID | None = None
    first: int = 1
    last: int = LARGEST_POSITION
    since: datetime | None = None
    until: datetime | None = None

    def values(self) -> dict[str, Any]:
        """Return what CHOSEN asks for."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"event_types": list(self.event_types) or None}


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """One row of an outbox."""

    service: str
    position: int
    event_id: UUID
    topic: str | None
    aggregate_type: str
    aggregate_id: str
    aggregate_version: int
    event_type: str
    schema_version: int
    payload: bytes
    metadata: dict[str, Any]
    recorded_at: datetime

    def fields(self) -> dict[str, Any]:
        """Return the decoded payload, or why it cannot be read, with its bytes."""
        try:
            return codec.decode(self.event_type, self.schema_version, self.payload).to_avro()
        except codec.UnreadableEvent as error:
            return {"unreadable": error.reason, "bytes": self.payload.hex()}

    def shown(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"payload": self.fields(), "recorded_at": self.recorded_at.astimezone(UTC).isoformat()}


def newest(service: str, connection: psycopg.Connection, wanted: Filter, limit: int) -> list[ListedEvent]:
    """Return the newest events that are meant, lowest position first. Raises psycopg.Error."""
    values = narrowed(connection, wanted).values() | {"service": service, "limit": limit}
    with connection.cursor(row_factory=class_row(ListedEvent)) as cursor:
        return cursor.execute(NEWEST, values).fetchall()


def among(service: str, connection: psycopg.Connection, wanted: Filter, positions: Sequence[int]) -> list[ListedEvent]:
    """Return the events at these positions that are meant, lowest first. Raises psycopg.Error."""
    values = wanted.values() | {"service": service, "among": positions}
    with connection.cursor(row_factory=class_row(ListedEvent)) as cursor:
        return cursor.execute(AMONG, values).fetchall()


def last_position(connection: psycopg.Connection) -> int:
    """Return the highest position that is visible, 0 where there is none. Raises psycopg.Error."""
    (found,) = connection.execute("SELECT max(position) FROM waybill_outbox").fetchone() or (None,)
    return found or 0


def narrowed(connection: psycopg.Connection, wanted: Filter) -> Filter:
    """Return the same filter with the positions that its times leave, so that the index of positions finds them.

    Times rise with positions but for a few neighbours; `recorded_at` itself has no index, which each event would pay
    for. Raises psycopg.Error.
    """
    first, last = wanted.first, wanted.last
    if wanted.since is not None:
        first = max(first, before(connection, wanted.since) + 1)
    if wanted.until is not None:
        last = min(last, _reached(connection, wanted.until) + SLACK)
    return replace(wanted, first=first, last=last)


def before(connection: psycopg.Connection, since: datetime) -> int:
    """Return a position with nothing as young as `since` at or below it. Raises psycopg.Error."""
    return max(0, _reached(connection, since) - SLACK)


def _reached(connection: psycopg.Connection, moment: datetime) -> int:
    """Return the position that the log had reached at a moment, give or take SLACK; halves the log to find it."""
    low, high = 0, last_position(connection)
    while low < high:
        middle = (low + high) // 2
        found = connection.execute(NEXT, (middle,)).fetchone()
        if found is not None and found[1] < moment:
            low = found[0]
        else:
            high = middle
    return low


def standing(connection: psycopg.Connection, event: ListedEvent) -> str:
    """Return whether the event is published, waits, is a dead letter, discarded or private. Raises psycopg.Error."""
    found = connection.execute(STANDING, (event.position,)).fetchone()
    return str(found[0]) if found else "gone"


def event_type(given: str) -> str:
    """Return the Avro full name of a type, which may be given by its last part. Raises UsageError."""
    if given in event_classes():
        return given
    short = {name.rpartition(".")[2]: name for name in event_classes()}
    if given in short:
        return short[given]
    near = get_close_matches(given, [*short, *event_classes()], 3, 0.5)
    raise UsageError(f"no event type {given!r}; known are {', '.join(near or sorted(short))}{', …' if near else ''}")


def positions(given: str) -> tuple[int, int]:
    """Return first and last of `7`, `7..9`, `7..` or `..9`. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,19})|(\d{0,19})\.\.(\d{0,19})", given)
    if not found or given == "..":
        raise UsageError(f"{given!r} is no range of positions; write 7, 7..9, 7.. or ..9")
    one, first, last = found.groups()
    bounds = (int(one), int(one)) if one else (int(first or 1), int(last or LARGEST_POSITION))
    if bounds[0] > bounds[1] or bounds[1] > LARGEST_POSITION:
        raise UsageError(f"{given!r}: the range is empty")
    return bounds


def moment(given: str) -> datetime:
    """Return an RFC 3339 time, in UTC where it has no zone, or one this long ago (`90s`, `15m`, `2h`, `3d`)."""
    if ago := re.fullmatch(r"(\d{1,6})([smhd])", given):
        with suppress(OverflowError):
            return datetime.now(UTC) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        return BEGINNING
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise UsageError(f"{given!r} is no time; write 2026-01-31T12:00:00Z, or 15m for 15 minutes ago") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def identifier(given: str) -> UUID:
    """Return an event's id. Raises UsageError."""
    try:
        return UUID(given)
    except ValueError:
        raise UsageError(f"{given!r} is no event id: it is a UUID") from None


def aggregate(given: str) -> tuple[str | None, str]:
    """Return type and id of `order/ID`, or no type where only the id is given. Raises UsageError."""
    kind, slash, key = given.partition("/")
    if not slash:
        return None, given
    known = sorted({event.aggregate_type for event in event_classes().values()})
    if kind not in known:
        raise UsageError(f"no aggregate type {kind!r}; known are {', '.join(known)}")
    if not key:
        raise UsageError(f"{given!r} names no {kind}; write {kind}/ID")
    return kind, key
