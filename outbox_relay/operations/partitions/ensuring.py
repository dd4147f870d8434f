"""Empty ranges ahead of the log, so that what is appended lands in one that can be dropped later.

Where nobody made them in time, events have gone to the open end. Nothing is wrong then but that they could not be
dropped: the open end becomes a range, and another one is made beyond. A constraint bounds its positions first, a whole
range ahead of what was handed out, and is validated while everybody goes on, so that the switch reads no row.
"""

from typing import Final, LiteralString

import psycopg
from psycopg import sql

from outbox_relay.operations import audit
from outbox_relay.operations.partitions import layout
from outbox_relay.operations.partitions.layout import OPEN, Range
from outbox_relay.operations.topology import UsageError

BOUND: Final = "waybill_outbox_open_bound"
DETACH: Final[LiteralString] = "ALTER TABLE waybill_outbox DETACH PARTITION {open}"
ATTACH: Final[LiteralString] = (
    "ALTER TABLE waybill_outbox ATTACH PARTITION {range} FOR VALUES FROM ({first}) TO ({after})"
)
ADD_BOUND: Final[LiteralString] = """
ALTER TABLE {open} DROP CONSTRAINT IF EXISTS {bound};
ALTER TABLE {open} ADD CONSTRAINT {bound} CHECK (position >= {first} AND position < {after}) NOT VALID
"""
VALIDATE: Final[LiteralString] = "ALTER TABLE {open} VALIDATE CONSTRAINT {bound}"
DROP_BOUND: Final[LiteralString] = "ALTER TABLE {range} DROP CONSTRAINT IF EXISTS {bound}"
# The open end's own indexes and keys are renamed with it, and the next one can have their names.
RENAME: Final[LiteralString] = """
ALTER TABLE {open} RENAME CONSTRAINT {open_position} TO {position};
ALTER TABLE {open} RENAME CONSTRAINT {open_event_id} TO {event_id};
ALTER TABLE {open} RENAME CONSTRAINT {open_version} TO {version};
ALTER TABLE {open} RENAME TO {name};
"""


def ensure(owner: psycopg.Connection, ahead: int, events: int | None, by: str) -> list[int]:
    """Make ranges until so many empty ones lie ahead; returns the first position of each that was made.

    `events`: of each new range, as many as in the last one where it is None. Does nothing where nothing is to be done.
    Raises UsageError, psycopg.Error.
    """
    if not layout.is_partitioned(owner):
        raise UsageError("the log is in one piece; outbox partitions adopt divides it")
    found = layout.ranges(owner)
    *closed, end = found
    size = events or _size(closed)
    free = sum((one.first or 0) > layout.handed_out(owner) for one in closed)
    if free >= ahead and not _has_rows(owner):
        return []
    if _has_rows(owner):
        _close(owner, end, size)
        *closed, end = layout.ranges(owner)
        free = 0
    made: list[int] = []
    layout.for_a_moment(owner, lambda: made.extend(_add(owner, end, ahead - free, size, by)))
    return made


def _size(closed: list[Range]) -> int:
    known = [one.after - one.first for one in closed if one.first and one.after]
    return known[-1] if known else layout.EVENTS


def _has_rows(owner: psycopg.Connection) -> bool:
    found = owner.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(layout.table(owner, OPEN))).fetchone()
    return found is not None


def _add(owner: psycopg.Connection, end: Range, count: int, size: int, by: str) -> list[int]:
    """Take the empty open end away and put it back behind new ranges; alone with the log."""
    first = end.first or 1
    if count <= 0 or _has_rows(owner):  # something came to it meanwhile: the next run closes it
        return []
    opened = layout.table(owner, OPEN)
    owner.execute(sql.SQL(DETACH).format(open=opened))
    firsts = [first + n * size for n in range(count)]
    for one in firsts:
        layout.make(owner, one, one + size)
    beyond = sql.Literal(first + count * size)
    owner.execute(sql.SQL(ATTACH).format(range=opened, first=beyond, after=sql.SQL("MAXVALUE")))
    audit.record(owner, "partitions ensure", "ranges ahead of the log", {"made": firsts, "events": size}, by)
    return firsts


def _close(owner: psycopg.Connection, end: Range, size: int) -> None:
    """Make the open end, which has rows, a range with an end, and begin another one behind it."""
    first, after = end.first or 1, layout.handed_out(owner) + size
    opened = layout.table(owner, OPEN)
    bound = sql.Identifier(BOUND)
    add = sql.SQL(ADD_BOUND).format(open=opened, bound=bound, first=sql.Literal(first), after=sql.Literal(after))
    layout.for_a_moment(owner, lambda: _execute(owner, add))
    try:
        owner.execute(sql.SQL(VALIDATE).format(open=opened, bound=bound))
        layout.for_a_moment(owner, lambda: _switch(owner, first, after))
    except BaseException:
        drop = sql.SQL(DROP_BOUND).format(range=opened, bound=bound)
        layout.for_a_moment(owner, lambda: _execute(owner, drop))
        raise


def _execute(owner: psycopg.Connection, statement: sql.Composed) -> None:
    owner.execute(statement)


def _switch(owner: psycopg.Connection, first: int, after: int) -> None:
    opened, name = layout.table(owner, OPEN), f"waybill_outbox_{first}"
    owner.execute(sql.SQL(DETACH).format(open=opened))
    before = {f"open_{key}": named for key, named in layout.keys_of(OPEN).items()}
    names = {"name": sql.Identifier(name), **before, **layout.keys_of(name)}
    owner.execute(sql.SQL(RENAME).format(open=opened, **names))
    closed = layout.table(owner, name)
    bounds = {"first": sql.Literal(first), "after": sql.Literal(after)}
    owner.execute(sql.SQL(ATTACH).format(range=closed, **bounds))
    owner.execute(sql.SQL(DROP_BOUND).format(range=closed, bound=sql.Identifier(BOUND)))
    layout.make(owner, after, None)
