"""A log of many events, as a year of appends would have left it, laid out range by range in minutes.

Rows are like those of the order service: three events an order, ids that rise with time, a payload of some 90 bytes and
metadata of two ids. A range is filled as a table of its own, in the transaction that makes it, so that no WAL is
written; its keys are built afterwards, and it is attached in the place of the empty one.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from benchmarks.rows import VERSIONS
from benchmarks.stage import execute
from devstack.harness.databases import ServiceDatabase
from outbox_relay.operations.partitions import adopting, ensuring, layout
from schemas.events import OrderLine, OrderPlaced
from waybill.contracts import codec

SCHEMA_ID: Final = 77
AGE: Final = timedelta(days=360)  # of the oldest event
NOBODY: Final = UUID(int=0)
FAST: Final = "SET maintenance_work_mem = '512MB'; SET max_parallel_maintenance_workers = 1; SET work_mem = '128MB'"

# Rising, as UUIDs of version 7 are; one digest an id, since there are a hundred million of them.
ID: Final[LiteralString] = "(lpad(to_hex({n}), 12, '0') || '7{mark}8' || substr(md5('{mark}' || {n}), 1, 15))::uuid"
EVENT_ID: Final[LiteralString] = ID.format(n="n", mark="abc")
ORDER_ID: Final[LiteralString] = ID.format(n=f"n / {VERSIONS}", mark="def")
CAUSES: Final[LiteralString] = """'{{"correlation_id": "01a21fa9-2db5-74e8-a85d-de755000e394",
    "causation_id": "01a21fa9-2dca-7214-be5c-efacadcf2eb4"}}'::jsonb"""
FILL: Final[LiteralString] = f"""
INSERT INTO {{table}} (position, event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                     schema_version, payload, metadata, recorded_at) OVERRIDING SYSTEM VALUE
SELECT n, {EVENT_ID}, {{topic}}, 'order', {ORDER_ID}, n % {VERSIONS} + 1, {{kind}}, 1,
       overlay({{payload}}::bytea PLACING convert_to(lpad(to_hex(n), 12, '0'), 'UTF8') FROM 60 FOR 12), {CAUSES},
       {{oldest}}::timestamptz + n * {{step}}::interval
FROM generate_series({{first}}::bigint, {{after}}::bigint - 1) AS n
"""
RANGE: Final[LiteralString] = """
BEGIN;
ALTER TABLE waybill_outbox DETACH PARTITION {table};
DROP TABLE {table};
CREATE TABLE {table} (LIKE waybill_outbox INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
"""
KEYS: Final[LiteralString] = """
COMMIT;
ALTER TABLE {table} ADD CONSTRAINT {position} PRIMARY KEY (position);
ALTER TABLE {table} ADD CONSTRAINT {event_id} UNIQUE (event_id);
ALTER TABLE {table} ADD CONSTRAINT {version} UNIQUE (aggregate_type, aggregate_id, aggregate_version);
ALTER TABLE waybill_outbox ATTACH PARTITION {table} FOR VALUES FROM ({first}) TO ({after});
"""
# The table is as old as its keys: filled and its keys built as those of a range are.
VERSIONS_OF: Final[LiteralString] = f"""
BEGIN;
TRUNCATE waybill_aggregate_version;
ALTER TABLE waybill_aggregate_version DROP CONSTRAINT waybill_aggregate_version_pkey;
INSERT INTO waybill_aggregate_version (aggregate_id, aggregate_type, version, appended)
SELECT {ID.format(n="n", mark="def")}, 'order', {VERSIONS}, {VERSIONS}
FROM generate_series(1, {{orders}}::bigint) AS n;
COMMIT;
ALTER TABLE waybill_aggregate_version ADD CONSTRAINT waybill_aggregate_version_pkey
    PRIMARY KEY (aggregate_id, aggregate_type);
ANALYZE waybill_aggregate_version;
"""
ONE_PIECE: Final[LiteralString] = """
BEGIN;
TRUNCATE waybill_outbox CASCADE;
"""
AT: Final = "UPDATE waybill_outbox_cursor SET position = %s"
SET: Final = "SELECT setval('waybill_outbox_position_seq', %s)"


class LongLog:
    """One database's log: `events` in one piece, or in ranges."""

    def __init__(self, database: ServiceDatabase, topic: str, total: int) -> None:
        """Take a fresh database; `total` events are what a year's log has."""
        self.database, self.topic = database, topic
        self._oldest, self._step = datetime.now(UTC) - AGE, AGE / total
        self.last = 0
        execute(
            database.owner_url, "INSERT INTO waybill_schema_id VALUES (%s, 1, %s)", OrderPlaced.event_type, SCHEMA_ID
        )

    def fill_one_piece(self, events: int) -> None:
        """Fill the table as it is."""
        with psycopg.connect(self.database.owner_url, autocommit=True) as owner:
            owner.execute(FAST)
            owner.execute(sql.SQL(ONE_PIECE) + self._rows(sql.Identifier("waybill_outbox"), VERSIONS, events + 1))
            owner.execute("COMMIT")
        self._end(events)

    def fill_ranges(self, events: int, size: int) -> None:
        """Divide the empty log, and fill so many ranges."""
        with psycopg.connect(self.database.owner_url, autocommit=True) as owner:
            owner.execute(FAST)
            adopting.adopt(owner, size, "bench", "to be measured")
            ensuring.ensure(owner, -(-events // size) + 1, size, "bench")
            found = [one for one in layout.ranges(owner) if one.after and one.last <= events + size]
            for one in found[: events // size]:
                self._fill(owner, one)
            owner.execute(sql.SQL(VERSIONS_OF).format(orders=found[events // size - 1].last // VERSIONS + 1))
            self._end(found[events // size - 1].last)

    def _fill(self, owner: psycopg.Connection, one: layout.Range) -> None:
        table = layout.table(owner, one.name)
        bounds = {
            "first": sql.SQL("MINVALUE") if one.first is None else sql.Literal(one.first),
            "after": sql.Literal(one.last + 1),
        }
        owner.execute(sql.SQL(RANGE).format(table=table) + self._rows(table, one.first or VERSIONS, one.last + 1))
        names = {**layout.keys_of(one.name), "position": sql.Identifier(f"{one.name}_pkey")}
        owner.execute(sql.SQL(KEYS).format(table=table, **names, **bounds))

    def _rows(self, table: sql.Identifier, first: int, after: int) -> sql.Composed:
        lines = (OrderLine(sku="SKU-000001", quantity=1, unit_price=1999),)
        event = OrderPlaced(
            order_id=NOBODY, customer_id="c", lines=lines, total=1999, currency="EUR", payment_method="tok_ok"
        )
        return sql.SQL(FILL).format(
            table=table,
            topic=self.topic,
            kind=OrderPlaced.event_type,
            payload=codec.encode(event),
            oldest=self._oldest,
            step=self._step,
            first=first,
            after=after,
        )

    def _end(self, last: int) -> None:
        """Let the log end there: all of it is published and verified."""
        self.last = last
        execute(self.database.owner_url, SET, last)
        execute(self.database.superuser_url, AT, last)
        execute(self.database.superuser_url, "ANALYZE waybill_outbox")

    def time_of(self, position: int) -> datetime:
        """Return when an event was recorded."""
        return self._oldest + position * self._step
