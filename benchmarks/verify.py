"""Time and peak memory of `outbox verify` and `outbox rebuild --check`: `python -m benchmarks.verify --events 1000000`.

An outbox of orders (three events each), its topic, its rows and an inbox that has received what it reacts to are laid
out as the programs leave them. Each command then runs in a process of its own; its peak memory is that of the largest
process among it and those that it starts. The last line is one JSON object; `--keep NAME` also writes it under that
name into results/verify.json. `--checkout DIR` measures the commands of another checkout, on what this one laid out.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import UUID

import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.stage import CHECKOUT, PARTITIONS, Stage, Topic, database, execute, running
from devstack.harness.databases import ServiceDatabase
from devstack.harness.interrupts import end_tidily
from schemas.events import Event, OrderConfirmed, OrderLine, OrderPlaced, OrderReserved
from waybill.contracts import codec

RESULTS: Final = Path(__file__).parent / "results" / "verify.json"
TOPIC: Final = "order.events.v1"
GROUP: Final = "inventory_service"
BATCH: Final = 10_000
INSERTED: Final = 500_000

# Ids rise, as UUIDs of version 7 do.
ID: Final = "(lpad(to_hex({n}), 12, '0') || '7' || substr(md5('{mark}' || {n}), 1, 3) || '8' ||"
ID_END: Final = " substr(md5('{mark}' || {n}), 4, 15))::uuid"
EVENT_ID: Final = (ID + ID_END).format(n="n", mark="e")
ORDER_ID: Final = (ID + ID_END).format(n="(n / 3)", mark="o")
OUTBOX: Final = f"""
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                    schema_version, payload, metadata)
SELECT {EVENT_ID}, '{TOPIC}', 'order', {ORDER_ID}, n %% 3 + 1, (%(types)s::text[])[n %% 3 + 1], 1,
       overlay((%(payloads)s::bytea[])[n %% 3 + 1] PLACING convert_to({ORDER_ID}::text, 'UTF8')
               FROM (%(offsets)s::int[])[n %% 3 + 1] FOR 36), '{{}}'
FROM generate_series(%(first)s::int, %(end)s::int - 1) AS n
"""
INBOX: Final = f"""
INSERT INTO received (id, msg_id, added, expires_at, retry, status)
SELECT {EVENT_ID}, '{GROUP}:' || {EVENT_ID}, now(), now() + interval '30 days', 0, 2
FROM generate_series(%(first)s::int, %(end)s::int - 1) AS n
"""
# Every order has the columns that the fold of the first one has.
ROWS: Final = """
INSERT INTO orders SELECT (jsonb_populate_record(NULL::orders, %s::jsonb || jsonb_build_object(
    'order_id', aggregate_id, 'created_at', recorded_at, 'updated_at', recorded_at))).*
FROM waybill_outbox WHERE aggregate_version = 1
"""
PASSED: Final = "UPDATE waybill_outbox_cursor SET position = (SELECT max(position) FROM waybill_outbox)"
EVENTS: Final = "SELECT event_id::text, aggregate_id, aggregate_version::text, event_type, payload FROM waybill_outbox"

NO_ID: Final = UUID(int=0)
LINES: Final = tuple(OrderLine(sku=f"SKU-{n:06}", quantity=n, unit_price=1999) for n in range(1, 4))
OF_EACH: Final[dict[str, Any]] = {"order_id": NO_ID, "total": 11_994, "currency": "EUR", "customer_id": "customer"}
OF_ORDER: Final[Sequence[Event]] = (
    OrderPlaced(**OF_EACH, lines=LINES, payment_method="tok_ok"),
    OrderReserved(**OF_EACH, payment_method="tok_ok"),
    OrderConfirmed(**OF_EACH, lines=LINES),
)


class Place:
    """What is verified: a broker with one topic, an outbox with its rows, an inbox."""

    def __init__(self, stage: Stage, order: ServiceDatabase, inventory: ServiceDatabase) -> None:
        """Take the databases, empty."""
        self._stage, self._order, self._inventory = stage, order, inventory
        self.checkout = CHECKOUT  # whose commands run
        self._topic: Topic = stage.make_topic(TOPIC)

    def lay_out(self, events: int) -> None:
        """Write so many events, their records, rows and receipts."""
        self._write(0, len(OF_ORDER))
        first = json.loads(self._run("rebuild", "--check", "--service", "order", "--json").stdout)
        for start in range(len(OF_ORDER), events, INSERTED):
            self._write(start, min(start + INSERTED, events))
        execute(self._order.owner_url, ROWS, json.dumps(first["fold"]))
        self._produce()
        execute(self._order.superuser_url, PASSED)
        consumer = Consumer({"bootstrap.servers": self._stage.kafka, "group.id": GROUP})
        ends = [TopicPartition(TOPIC, n) for n in range(PARTITIONS)]
        for end in ends:
            _, end.offset = consumer.get_watermark_offsets(end)
        consumer.commit(offsets=ends, asynchronous=False)
        consumer.close()
        for one in (self._order, self._inventory):
            execute(one.superuser_url, "VACUUM ANALYZE")
        self._stage.write_out()

    def _write(self, first: int, end: int) -> None:
        payloads = [codec.encode(event) for event in OF_ORDER]
        values = {
            "first": first,
            "end": end,
            "types": [event.event_type for event in OF_ORDER],
            "payloads": payloads,
            "offsets": [payload.index(str(NO_ID).encode()) + 1 for payload in payloads],
        }
        for url, statement in ((self._order.owner_url, OUTBOX), (self._inventory.owner_url, INBOX)):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(statement, values)

    def _produce(self) -> None:
        options: dict[str, Any] = {"partitioner": "murmur2_random", "linger.ms": 50, "compression.type": "lz4"}
        producer = Producer({"bootstrap.servers": self._stage.kafka, **options})
        with psycopg.connect(self._order.owner_url) as connection, connection.cursor("events") as cursor:
            cursor.itersize = BATCH
            for n, (event_id, key, version, kind, payload) in enumerate(cursor.execute(EVENTS)):
                headers: Any = [("ce_id", event_id), ("ce_sequence", version), ("ce_type", kind)]
                producer.produce(TOPIC, payload, key, headers=headers)
                if n % BATCH == 0:
                    producer.flush(120)
        assert producer.flush(120) == 0

    def measure(self, name: str, *arguments: str) -> dict[str, Any]:
        """Run a command that must find nothing; returns seconds, and the peak MB of its largest process."""
        started = time.perf_counter()
        process = self._start(*arguments)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        assert status == 0, f"{name} left with {os.waitstatus_to_exitcode(status)}"
        run = {"run": name, "seconds": round(seconds, 1), "peak_mb": round(usage.ru_maxrss / 1024)}
        print(json.dumps(run), flush=True)
        return run

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "outbox_relay", *arguments]
        environment = self._environment()
        return subprocess.run(
            command, cwd=self.checkout, env=environment, stdout=subprocess.PIPE, text=True, check=False
        )

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "outbox_relay", *arguments]
        return subprocess.Popen(command, cwd=self.checkout, env=self._environment(), stdout=subprocess.DEVNULL)

    def _environment(self) -> dict[str, str]:
        databases = f"order={self._order.service_url},inventory={self._inventory.service_url}"
        return {**os.environ, "WAYBILL_OUTBOX_DATABASES": databases, "WAYBILL_KAFKA_BOOTSTRAP": self._stage.kafka}


def main() -> None:
    """Lay out, measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="rounded down to whole orders of three")
    parser.add_argument("--checkout", type=Path, help="also measure the commands of this checkout, as it was before")
    parser.add_argument("--keep", metavar="NAME", help="under which the figures are kept")
    given = parser.parse_args()
    events = given.events - given.events % 3
    end_tidily()
    load = round(os.getloadavg()[0], 1)
    runs: list[dict[str, Any]] = []
    with (
        running() as stage,
        database(stage) as order,
        database(stage, "inventory_service") as inventory,
        TemporaryDirectory() as checkpoints,
    ):
        place = Place(stage, order, inventory)
        place.lay_out(events)
        rows, kept = ("rebuild", "--check", "--service", "order"), ("--checkpoints", checkpoints)
        runs.append(place.measure("verify --full", "verify", "--full", "--no-rows"))
        runs.append(place.measure("verify, from its mark", "verify", "--no-rows"))
        runs.append(place.measure("rebuild --check", *rows, *kept))
        runs.append(place.measure("rebuild --check, from its checkpoint", *rows, *kept))
        if given.checkout:
            place.checkout = given.checkout.absolute()
            runs.append(place.measure("verify, before", "verify", "--no-rows"))
            runs.append(place.measure("rebuild --check, before", *rows))
    machine = {"cores": os.cpu_count(), "system": platform.platform(terse=True), "load_average_before": load}
    result = {"events": events, "machine": machine, "runs": runs}
    if given.keep:
        everything = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(everything | {given.keep: result}, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
