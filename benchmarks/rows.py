"""What the outbox holds: OrderPlaced events as the order service writes them, many of them, quickly.

A pool of real payloads and metadata is laid out once a database; a procedure then appends any number of rows in
transactions of a given size, some of them rolled back if asked. What is prepared before a measurement is written
without waiting for the disk, and then written out; what is written during one waits for the disk as always.
"""

import json
import random
import uuid
from collections.abc import Iterator
from typing import Any, Final

import psycopg

from benchmarks.stage import execute
from devstack.harness.databases import ServiceDatabase
from schemas.events import OrderLine, OrderPlaced
from waybill.contracts import codec

SCHEMA_ID: Final = 77
POOL_ROWS: Final = 2_000
VERSIONS: Final = 3  # events of one aggregate, next to each other
LINES: Final = 10  # 250 bytes a payload

POOL: Final = "CREATE TABLE pool (id int PRIMARY KEY, payload bytea NOT NULL, metadata jsonb NOT NULL)"

# Ids rise, as UUIDs of version 7 do, and are as hard to compress.
ID: Final = """
(lpad(to_hex({n}), 12, '0') || '7' || substr(md5('{mark}' || {n}), 1, 3) ||
 '8' || substr(md5('{mark}' || {n}), 4, 15))::uuid
"""
APPEND: Final = f"""
CREATE PROCEDURE append(start bigint, total bigint, size int, topic text, rolled_back_in int) LANGUAGE plpgsql AS $$
DECLARE
    first bigint := start;
    nth bigint := 0;
BEGIN
    WHILE first < start + total LOOP
        nth := nth + 1;
        INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                            schema_version, payload, metadata)
        SELECT {ID.format(n="n", mark="e")}, append.topic, 'order', {ID.format(n=f"n / {VERSIONS}", mark="o")},
               n % {VERSIONS} + 1, '{OrderPlaced.event_type}', {OrderPlaced.schema_version}, pool.payload, pool.metadata
        FROM generate_series(first, least(first + size, start + total) - 1) AS n JOIN pool ON pool.id = n % {POOL_ROWS};
        IF rolled_back_in > 0 AND nth % rolled_back_in = 0 THEN
            ROLLBACK;
        ELSE
            first := first + size;
            COMMIT;
        END IF;
    END LOOP;
END $$
"""


def lay_out(database: ServiceDatabase) -> None:
    """Register the schema and make the pool and the procedure."""
    execute(
        database.owner_url,
        "INSERT INTO waybill_schema_id VALUES (%s, %s, %s)",
        OrderPlaced.event_type,
        OrderPlaced.schema_version,
        SCHEMA_ID,
    )
    with psycopg.connect(database.owner_url, autocommit=True) as owner, owner.cursor() as cursor:
        cursor.execute(POOL)
        cursor.executemany("INSERT INTO pool VALUES (%s, %s, %s)", pool())
        cursor.execute("ANALYZE pool")
        cursor.execute(APPEND)


def pool() -> Iterator[tuple[int, bytes, str]]:
    """Return number, payload and metadata of each row of the pool; the same in every run."""
    chance = random.Random(4)

    def some_id() -> uuid.UUID:
        return uuid.UUID(int=chance.getrandbits(128), version=4)

    for number in range(POOL_ROWS):
        lines = tuple(
            OrderLine(
                sku=f"SKU-{chance.randrange(10**6):06}",
                quantity=chance.randrange(1, 9),
                unit_price=chance.randrange(100, 100_000),
            )
            for _ in range(LINES)
        )
        event = OrderPlaced(
            order_id=some_id(),
            customer_id=str(some_id()),
            lines=lines,
            total=sum(line.quantity * line.unit_price for line in lines),
            currency="EUR",
            payment_method=f"tok_{chance.getrandbits(64):016x}",
        )
        metadata = {
            "correlation_id": str(some_id()),
            "causation_id": str(some_id()),
            "actor": str(some_id()),
            "traceparent": f"00-{chance.getrandbits(128):032x}-{chance.getrandbits(64):016x}-01",
        }
        yield number, codec.encode(event), json.dumps(metadata)


class Writer:
    """Append to one outbox, with ids that nobody has used there."""

    def __init__(self, database: ServiceDatabase, topic: str) -> None:
        self._database, self._topic = database, topic
        self._next = 3

    def append(self, rows: int, *, size: int, rolled_back_in: int = 0) -> None:
        """Write so many rows in transactions of `size` rows; one transaction in so many is rolled back, 0: none."""
        with psycopg.connect(self._database.owner_url, autocommit=True) as owner:
            owner.execute("SET synchronous_commit = off")
            values: list[Any] = [self._next, rows, size, self._topic, rolled_back_in]
            owner.execute("CALL append(%s, %s, %s, %s, %s)", values)
        self._next += rows + VERSIONS - rows % VERSIONS
