"""Orders of the days before: copies of what the services wrote for some real ones, moved back in time.

Some orders are placed and carried to their end. Then each of their rows (aggregates, events, inbox rows, kept answers,
due tasks) is written again, so many times, by INSERT … SELECT. A copy differs from its original by its times and its
ids alone: the first eight digits of a UUID of version 7 count spans of 65.536 s, so a copy that is n spans older has
these digits less n, wherever they stand: in keys, in the metadata's causes, and in the Avro payload. All originals lie
in one span, so one replacement moves everything. Versions, schema ids, sizes and the sequence of positions are the
services' own, and `rebuild --check` finds each row equal to the fold of its events.

What housekeeping would have removed by now is left out: answers of the day before, and tasks that were due.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from benchmarks.growth.tables import Table, refill
from devstack.harness.stack import Stack
from devstack.harness.wait import wait_until

SPAN: Final = timedelta(milliseconds=65_536)
ROOM_SECONDS: Final = 50  # of a span, for placing the originals and for their mails
TRIES: Final = 3
# How far back a table's copies go at most: housekeeping forgets an answer after a day, and a worker ends the task of
# an order after half an hour.
KEPT: Final = {"waybill_idempotency_key": timedelta(hours=23), "waybill_due_task": timedelta(minutes=30)}
ORDER_DEADLINE: Final = "PT6H"  # so that no such task falls due in the measurement
EARLIER_SECONDS: Final = 2.0  # for the mails of orders before

CREATED: Final[LiteralString] = "created_at >= {began}"
# By service and table: which rows are those of the originals.
TABLES: Final[Mapping[str, Mapping[str, LiteralString]]] = {
    "order": {
        "orders": CREATED,
        "received": "added >= {began}",
        "waybill_outbox": "recorded_at >= {began}",
        "waybill_idempotency_key": CREATED,
        "waybill_due_task": "event_id IN (SELECT event_id FROM waybill_outbox WHERE recorded_at >= {began})",
    },
    "inventory": {
        "reservations": CREATED,
        "received": "added >= {began}",
        "waybill_outbox": "recorded_at >= {began}",
    },
    "payment": {"payments": CREATED, "received": "added >= {began}", "waybill_outbox": "recorded_at >= {began}"},
    "notification": {
        "notifications": CREATED,
        "received": "added >= {began}",
        "waybill_outbox": "recorded_at >= {began}",
    },
}
FILLING: Final = ("autovacuum=off", "fsync=off", "full_page_writes=off", "max_wal_size='4GB'")
# Triggers off: what they note of dead letters is none of these rows' concern.
FAST: Final = "SET session_replication_role = replica; SET maintenance_work_mem = '512MB'"
TIDY: Final = "VACUUM (ANALYZE)"  # as autovacuum would have, meanwhile
# A relay would go on from the position in its own memory; whoever is in the middle of a transaction keeps a lock.
END_SESSIONS: Final = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND (usename LIKE '%_relay' OR state <> 'idle')
"""
ALL_PUBLISHED: Final = """
UPDATE waybill_outbox_cursor SET position = (SELECT max(position) FROM waybill_outbox), missing = '{}'
"""
SOLD: Final = """
UPDATE products SET on_hand = on_hand - %(copies)s * sold.units
FROM (SELECT line->>'sku' AS sku, sum((line->>'quantity')::int) AS units
      FROM reservations, jsonb_array_elements(lines) AS line WHERE created_at >= %(began)s GROUP BY 1) AS sold
WHERE products.sku = sold.sku
"""
STRANGERS: Final = "SELECT count(*) FROM waybill_outbox WHERE recorded_at >= %s AND event_id::text NOT LIKE %s"


@dataclass(frozen=True)
class Grown:
    """What is there now."""

    orders: int
    rows: int
    gigabytes: float
    seconds: float


@dataclass(frozen=True)
class Originals:
    """The orders that are copied: when the first began, and the first digits of all their ids."""

    count: int
    began: datetime
    digits: str


def place_originals(stack: Stack, place: Callable[[int], object], count: int) -> Originals:
    """Place orders within one span of the ids; blocks a minute or two. Raises AssertionError where that fails."""
    for _ in range(TRIES):
        left = SPAN.total_seconds() - time.time() % SPAN.total_seconds()
        if left < ROOM_SECONDS:
            time.sleep(left + 0.1)  # for the next span
        time.sleep(EARLIER_SECONDS)  # what comes of earlier orders later than this would be taken for an original's
        began = datetime.now(UTC)
        digits = f"{int(began.timestamp() * 1000) >> 16:08x}"
        place(count)
        wait_until(
            lambda began=began: _at_rest(stack, began, count), deadline_seconds=120, what="the last mails are noted"
        )
        if not any(_ask(stack, service, STRANGERS, began, f"{digits}-%") for service in TABLES):
            return Originals(count, began, digits)
    raise AssertionError(f"{count} orders do not fit into {SPAN.total_seconds()} s; begin with fewer")


def grow(stack: Stack, originals: Originals, orders: int) -> Grown:
    """Write copies of the originals until there are so many orders; its programs must be held. Blocks for minutes."""
    started, copies = time.monotonic(), orders // originals.count
    _set(stack, *(f"{name} = {value}" for name, value in (one.split("=") for one in FILLING)))
    with ThreadPoolExecutor(2) as pool:  # a core each
        rows = sum(pool.map(partial(_fill, stack, originals, copies), TABLES))
    _set(stack, *(f"{one.split('=')[0]} = DEFAULT" for one in FILLING))
    with psycopg.connect(stack.superuser_url, autocommit=True) as server:
        server.execute("CHECKPOINT")
    os.sync()  # what was written without fsync must not be written out beside the measurement
    size = sum(_ask(stack, service, "SELECT pg_database_size(current_database())") for service in TABLES)
    return Grown(copies * originals.count, rows, round(size / 1e9, 1), round(time.monotonic() - started))


def analyse(stack: Stack) -> None:
    """Vacuum and analyse the databases as `grow` does: a plan should differ by what is there, not by what is known."""
    for service in TABLES:
        with psycopg.connect(stack.database(service), autocommit=True) as session:
            session.execute(TIDY)


def _fill(stack: Stack, originals: Originals, copies: int, service: str) -> int:
    rows = 0
    with psycopg.connect(stack.database(service), autocommit=True) as session:
        session.execute(END_SESSIONS)
        session.execute(FAST)
        for name, chosen in TABLES[service].items():
            which = sql.SQL(chosen).format(began=sql.Literal(originals.began))
            table = Table(name, which, min(copies, KEPT.get(name, SPAN * copies) // SPAN))
            rows += refill(session, table, originals.digits)
        if service == "inventory":
            session.execute(SOLD, {"copies": copies, "began": originals.began})
        session.execute(ALL_PUBLISHED)
        session.execute(TIDY)
    return rows


def _at_rest(stack: Stack, began: datetime, count: int) -> bool:
    """Say whether every original has all its events, those of its mail included."""
    found: Sequence[int] = [
        _ask(stack, service, "SELECT count(*) FROM waybill_outbox WHERE recorded_at >= %s", began) for service in TABLES
    ]
    return found == [4 * count, 2 * count, 2 * count, 2 * count]


def _ask(stack: Stack, service: str, question: LiteralString, *values: object) -> int:
    with psycopg.connect(stack.database(service), autocommit=True) as session:
        row = session.execute(question, values or None).fetchone()
    return int(row[0]) if row else 0


def _set(stack: Stack, *settings: str) -> None:
    with psycopg.connect(stack.superuser_url, autocommit=True) as server:
        for setting in settings:
            server.execute(f"ALTER SYSTEM SET {setting}".encode())
        server.execute("SELECT pg_reload_conf()")
