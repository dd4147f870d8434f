"""How a partitioned log is laid out: ranges of positions in a schema of their own, and an open end.

    waybill_outbox                          the parent: what everybody reads and appends to, as before
    public_partitions.waybill_outbox_1      positions up to 5,000,000
    public_partitions.waybill_outbox_…      further ranges, the last ones empty
    public_partitions.waybill_outbox_open   what lies beyond them all: empty, unless nobody made ranges in time

An append can therefore never meet a position without a place. There is no DEFAULT partition, since PostgreSQL detaches
none concurrently beside one. The schema of their own keeps the ranges out of `GRANT … ON ALL TABLES IN SCHEMA`: whoever
could write to one past the parent would take no lock on the parent, which the relay's cursor relies on.

A unique key of a partitioned table has the key that it is partitioned by in it. `position` is that key. `event_id` is
unique in each range. That an aggregate has each version once is held over all of them by `waybill_aggregate_version`: a
row an aggregate, which a trigger sets in the transaction of the append. Two that append the same version meet at that
row, whatever their isolation level.
"""

import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, LiteralString, NamedTuple

import psycopg
from psycopg import sql

OPEN: Final = "waybill_outbox_open"
EVENTS: Final = 5_000_000  # of a range
PATIENCE_SECONDS: Final = 60.0  # how long a moment is waited for in which nobody has the log
# Whoever appends or reads queues behind a lock that is waited for: so long at most.
LOCK_MS: Final = 200
BETWEEN_SECONDS: Final = 0.5

IS_PARTITIONED: Final = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'waybill_outbox'::regclass"
SCHEMA: Final = """
SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE pg_class.oid = 'waybill_outbox'::regclass
"""
RANGES: Final = """
SELECT relname, pg_get_expr(relpartbound, pg_class.oid), greatest(reltuples, 0)::bigint,
       pg_total_relation_size(pg_class.oid), inhdetachpending
FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'waybill_outbox'::regclass
"""
BOUNDS: Final = re.compile(r"FROM \((?:'(\d+)'|MINVALUE)\) TO \((?:'(\d+)'|MAXVALUE)\)")
# Read without a snapshot: no position beyond it has been handed out.
HANDED_OUT: Final = "SELECT last_value FROM waybill_outbox_position_seq"
HORIZON: Final = """
SELECT max(last), max(newest), sum(events)::bigint FROM waybill_outbox_archive WHERE dropped_at IS NOT NULL
"""
LOCK: Final = "LOCK TABLE waybill_outbox IN ACCESS EXCLUSIVE MODE"

# The parent's primary key comes with each range, as NAME_pkey; these two the parent cannot have.
MAKE: Final[LiteralString] = """
CREATE TABLE {range} PARTITION OF waybill_outbox FOR VALUES FROM ({first}) TO ({after});
ALTER TABLE {range} ADD CONSTRAINT {event_id} UNIQUE (event_id);
ALTER TABLE {range} ADD CONSTRAINT {version} UNIQUE (aggregate_type, aggregate_id, aggregate_version);
"""


class Range(NamedTuple):
    """Positions from `first` to before `after`; None: without an end on that side. `events` is an estimate."""

    name: str
    first: int | None
    after: int | None
    events: int
    size_bytes: int
    detaching: bool

    @property
    def last(self) -> int:
        """Return the last position of a range that has an end."""
        assert self.after is not None
        return self.after - 1


class Horizon(NamedTuple):
    """Up to where the log's events are archived and gone from it: the last position, the newest time, how many."""

    last: int
    newest: datetime | None
    events: int


def is_partitioned(connection: psycopg.Connection) -> bool:
    """Say whether the log is divided into ranges. Raises psycopg.Error."""
    return connection.execute(IS_PARTITIONED).fetchone() == (True,)


def ranges(connection: psycopg.Connection) -> list[Range]:
    """Return the ranges, lowest positions first and the open end last; of a log in one piece none."""
    found: list[Range] = []
    for name, bound, events, size_bytes, detaching in connection.execute(RANGES):
        bounds = BOUNDS.search(bound or "")
        first, after = bounds.groups() if bounds else (None, None)
        found.append(Range(name, _number(first), _number(after), events, size_bytes, detaching))
    return sorted(found, key=lambda one: (one.name == OPEN, one.first or 0))


def _number(bound: str | None) -> int | None:
    return None if bound is None else int(bound)


def horizon(connection: psycopg.Connection) -> Horizon:
    """Return up to where the log was shortened, position 0 where it never was. Raises psycopg.Error."""
    last, newest, events = connection.execute(HORIZON).fetchone() or (None, None, None)
    return Horizon(last or 0, newest, events or 0)


def handed_out(connection: psycopg.Connection) -> int:
    """Return the last position that was handed out. Raises psycopg.Error."""
    (position,) = connection.execute(HANDED_OUT).fetchone() or (0,)
    return position


def schemas(connection: psycopg.Connection) -> tuple[str, str]:
    """Return the schema of the log and that of its ranges. Raises psycopg.Error."""
    (schema,) = connection.execute(SCHEMA).fetchone() or ("public",)
    return schema, f"{schema}_partitions"


def table(connection: psycopg.Connection, name: str) -> sql.Identifier:
    """Return the table of a range. Raises psycopg.Error."""
    return sql.Identifier(schemas(connection)[1], name)


def keys_of(name: str) -> dict[str, sql.Identifier]:
    """Return the names of a range's keys, by which a collision is told apart (waybill/database/sqlstate.py)."""
    return {
        "position": sql.Identifier(f"{name}_pkey"),
        "event_id": sql.Identifier(f"{name}_event_id_key"),
        "version": sql.Identifier(f"{name}_one_event_a_version"),
    }


def make(owner: psycopg.Connection, first: int, after: int | None) -> None:
    """Make an empty range, or the open end where there is no `after`. Raises psycopg.Error."""
    name = OPEN if after is None else f"waybill_outbox_{first}"
    owner.execute(
        sql.SQL(MAKE).format(
            range=table(owner, name),
            first=sql.Literal(first),
            after=sql.SQL("MAXVALUE") if after is None else sql.Literal(after),
            **keys_of(name),
        )
    )


def for_a_moment(owner: psycopg.Connection, change: Callable[[], None]) -> None:
    """Change the log's layout in one transaction, alone with it: waits in turns so short that nobody notices.

    Raises psycopg.Error: LockNotAvailable where somebody had a transaction open on the log all the while.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with owner.transaction():
                owner.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(LOCK_MS))
                owner.execute(LOCK)
                change()
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(BETWEEN_SECONDS)  # those who queued behind us have their turn
        else:
            return
