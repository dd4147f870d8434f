"""`make bench-migrate`: what the way out of a project costs the project.

The webshop of examples/monolith on a PostgreSQL of its own, on loopback, with the settings that it moves with. Measured
side by side in one run: one `INSERT … SELECT` of the orders beside the backfill of as many; writes with and without the
capture triggers, in turns; writers before and during a backfill with everything that belongs to it. Figures go to
results/migrate.json; a --quick run keeps nothing. The last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import psycopg

from benchmarks.meter import p50_and_p99
from devstack.harness.interrupts import end_tidily
from devstack.harness.stack import CHECKOUT, Stack

RESULTS: Final = Path(__file__).parent / "results" / "migrate.json"
MONOLITH: Final = CHECKOUT / "examples" / "monolith"
AGGREGATE: Final = "order"
GOALS: Final = {"capture_cost": 0.25, "p99_during_backfill": 1.3}
THINK_SECONDS: Final = 0.005
RATE: Final = 1_000

PEOPLE: Final = """
INSERT INTO auth_user (id, username, password, is_superuser, is_staff, is_active, date_joined, first_name, last_name,
    email) VALUES (1, 'ann', '', false, false, true, now(), '', '', '');
INSERT INTO customers_customer (id, user_id, name, email, phone, created_at) VALUES (1, 1, 'Ann', '', '', now());
INSERT INTO catalogue_product (id, name, description, price, stock, on_sale, created_at)
    SELECT n, 'Pan ' || n, '', n, 1000000, true, now() FROM generate_series(1, 50) AS n;
"""
FILL: Final = """
INSERT INTO orders_order (customer_id, status, placed_at, name, email, street, postcode, city, note, total)
    SELECT 1, 'new', now(), 'Ann', 'ann@example.com', 'High Street 1', '12345', 'Town', '', 19.90
    FROM generate_series(1, %(orders)s);
INSERT INTO orders_orderline (order_id, product_id, name, price, quantity)
    SELECT id, 1 + (id + n) %% 50, 'Pan', 9.95, n FROM orders_order, generate_series(1, 2) AS n;
"""
COPY: Final = "INSERT INTO copied SELECT * FROM orders_order"
ONE: Final = "UPDATE orders_order SET status = 'shipped' WHERE id = %s"
MANY: Final = "UPDATE orders_order SET total = total + 1 WHERE id BETWEEN %s AND %s"
PLACE: Final = (
    """
INSERT INTO orders_order (customer_id, status, placed_at, name, email, street, postcode, city, note, total)
    VALUES (1, 'new', now(), 'Ann', '', '', '', '', '', 9.95) RETURNING id
""",
    "INSERT INTO orders_orderline (order_id, product_id, name, price, quantity) VALUES (%s, 1, 'Pan', 9.95, 1)",
    "UPDATE catalogue_product SET stock = stock - 1 WHERE id = 1",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and keep."""
    end_tidily()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.migrate", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; keeps nothing")
    quick = parser.parse_args(arguments).quick
    orders, turns, writes, seconds = (4_000, 4, 100, 5) if quick else (100_000, 16, 400, 30)
    load = os.getloadavg()[0]
    with _shop(orders) as url:
        costs = _cost_of_capture(url, turns, writes, orders)
        copied = _insert_select(url, orders)
        limited = _writers(url, seconds, ["--rate", str(RATE)])
        unlimited = _writers(url, seconds, [])
        filled = _backfill(url, orders)
    found = {
        **{f"capture_cost_{name}": round(after / before - 1, 3) for name, (before, after) in costs.items()},
        "p99_during_backfill": round(limited["p99_ms_during"] / limited["p99_ms_before"], 2),
        "p99_during_backfill_without_rate": round(unlimited["p99_ms_during"] / unlimited["p99_ms_before"], 2),
        "insert_select_rows_per_s": round(copied),
        "queued_keys_per_s": round(filled["queued"]),
        "backfill_rows_per_s": round(filled["told"]),
        "backfill_vs_insert_select": round(filled["told"] / copied, 3),
    }
    if not quick:
        medians = {name: [round(one, 4) for one in pair] for name, pair in costs.items()}
        kept = {"figures": found, "load_average": load, "orders": orders, "ms_without_and_with": medians}
        RESULTS.write_text(json.dumps(kept | {"rate": limited, "no_rate": unlimited}, indent=1) + "\n")
    print(json.dumps(found))


@contextmanager
def _shop(orders: int) -> Iterator[str]:
    """Run the webshop's database with so many orders; this process's Django is the webshop's."""
    with tempfile.TemporaryDirectory(prefix="waybill-migrate-", ignore_cleanup_errors=True) as name:
        home = Path(name) / "stack"
        stack = Stack(home, {**os.environ, "WAYBILL_HOME": str(home)})
        try:
            _devstack(stack, "up", "--only", "postgres")
            with psycopg.connect(stack.superuser_url, autocommit=True) as server:
                server.execute("CREATE DATABASE moving")
            parts = urlsplit(stack.superuser_url)
            os.environ |= {
                "DB_NAME": "moving",
                "DB_USER": parts.username or "",
                "DB_PASSWORD": parts.password or "",
                "DB_HOST": parts.hostname or "",
                "DB_PORT": str(parts.port),
                "DJANGO_SETTINGS_MODULE": "shop.settings.moving",
                "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(MONOLITH)]),
            }
            _prepare()
            url = urlunsplit(parts._replace(path="/moving"))
            with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as writer:
                writer.execute(PEOPLE)
                writer.execute(FILL, {"orders": orders})
                writer.execute("CREATE TABLE copied (LIKE orders_order INCLUDING ALL)")
                writer.execute("VACUUM ANALYZE")
            yield url
        finally:
            _devstack(stack, "reset")


def _prepare() -> None:
    """Become the webshop's Django, and migrate."""
    sys.path.insert(0, str(MONOLITH))
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _cost_of_capture(url: str, turns: int, writes: int, orders: int) -> dict[str, tuple[float, float]]:
    """Return ms a write without and with the triggers, the medians of turns that follow each other."""
    from waybill.migrate import capture

    aggregate = _aggregate()
    found: dict[str, list[list[float]]] = {name: [[], []] for name in ("one_row", "placing", "a_row_of_a_bulk")}
    bulk = min(orders, 2_000)
    with psycopg.connect(url, autocommit=True) as writer:
        for turn in range(turns):
            for with_capture in (False, True) if turn % 2 else (True, False):
                (capture.turn_on if with_capture else capture.turn_off)(aggregate, "default")
                writer.execute("CHECKPOINT")
                keys = [1 + (turn * writes + n) % orders for n in range(writes)]
                found["one_row"][with_capture] += _times(lambda key: writer.execute(ONE, [key]), keys)
                found["placing"][with_capture] += _times(lambda _, writer=writer: _place(writer), keys)
                many = _times(lambda first: writer.execute(MANY, [first, first + bulk - 1]), [1, 1, 1])
                found["a_row_of_a_bulk"][with_capture] += [one / bulk for one in many]
        writer.execute("TRUNCATE waybill_capture")
    return {name: (statistics.median(one[0]), statistics.median(one[1])) for name, one in found.items()}


def _place(writer: psycopg.Connection[Any]) -> None:
    order, line, stock = PLACE
    with writer.transaction():
        (key,) = writer.execute(order).fetchone() or (0,)
        for _ in range(2):
            writer.execute(line, [key])
        writer.execute(stock)


def _times(write: Callable[[int], object], keys: Sequence[int]) -> list[float]:
    taken: list[float] = []
    for key in keys:
        began = time.perf_counter()
        write(key)
        taken.append((time.perf_counter() - began) * 1_000)
    return taken


def _insert_select(url: str, orders: int) -> float:
    """Return rows a second, the median of three."""
    rates: list[float] = []
    with psycopg.connect(url, autocommit=True) as writer:
        for _ in range(3):
            writer.execute("TRUNCATE copied")
            began = time.perf_counter()
            writer.execute(COPY)
            rates.append(orders / (time.perf_counter() - began))
    return statistics.median(rates)


def _writers(url: str, seconds: float, limits: Sequence[str]) -> dict[str, float]:
    """Return the writers' p99 before and during a backfill; its programs run beside them, capture is on for both."""
    from waybill.migrate import capture

    capture.turn_on(_aggregate(), "default")
    _forget(url)
    ended, taken = threading.Event(), [[], []]  # before, during
    during = threading.Event()

    def write() -> None:
        with psycopg.connect(url, autocommit=True) as writer:
            while not ended.wait(THINK_SECONDS):
                began = time.perf_counter()
                _place(writer)
                taken[during.is_set()].append((time.perf_counter() - began) * 1_000)

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(seconds)  # writers alone: what the rest is compared with
    programs = [_migrate("run"), _migrate("backfill", "--outbox", str(10**9), *limits)]
    while _told(url) == 0:
        assert not any(program.poll() for program in programs), "a program refused; it says why"
        time.sleep(0.05)  # a look costs the database CPU, and nothing is measured yet
    during.set()
    began = time.monotonic()
    while time.monotonic() - began < seconds and programs[1].poll() is None:
        time.sleep(0.05)  # the writers are measured, not this
    ended.set()
    writer.join()
    for program in programs:
        program.terminate()
        program.wait(30)
    before, after = (p50_and_p99(one) for one in taken)
    return {
        "p50_ms_before": round(before[0], 2),
        "p99_ms_before": round(before[1], 2),
        "p50_ms_during": round(after[0], 2),
        "p99_ms_during": round(after[1], 2),
        "writes_during": len(taken[1]),
        "told_per_s": round(_told(url) / (time.monotonic() - began)),
    }


def _backfill(url: str, orders: int) -> dict[str, float]:
    """Return keys queued a second, and rows told of a second, from their tables to events in the outbox."""
    from django.db import connections

    from waybill.migrate import appending, backfill
    from waybill.migrate.mapping import building, document

    _forget(url)
    mapped = document.load(MONOLITH / "migrate.toml")
    with connections["default"].cursor() as cursor:
        built = building.build(mapped.aggregates[AGGREGATE], mapped.namespace, cursor)
    began = time.perf_counter()
    limits = backfill.Limits(queue=10**9, outbox=10**9)
    backfill.run(built, "default", limits, is_stopping=lambda: False, told=lambda *_: None)
    queued = time.perf_counter()
    while appending.drain_once({AGGREGATE: built}, "default").taken:
        pass
    ended, told = time.perf_counter(), _told(url)
    assert told >= orders
    return {"queued": told / (queued - began), "told": told / (ended - began)}


def _forget(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as writer:
        writer.execute("TRUNCATE waybill_capture, waybill_capture_state, waybill_backfill, waybill_outbox CASCADE")
        writer.execute("CHECKPOINT")


def _told(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as reader:
        return (reader.execute("SELECT count(*) FROM waybill_outbox").fetchone() or (0,))[0]


def _aggregate() -> Any:
    from waybill.migrate.mapping import document

    return document.load(MONOLITH / "migrate.toml").aggregates[AGGREGATE]


def _migrate(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "waybill", "migrate", *arguments, "--aggregate", AGGREGATE]
    return subprocess.Popen(command, cwd=MONOLITH, stdout=subprocess.DEVNULL)


def _devstack(stack: Stack, *arguments: str) -> None:
    command = [sys.executable, "-m", "devstack", *arguments]
    subprocess.run(command, cwd=CHECKOUT, env=stack.environment, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
