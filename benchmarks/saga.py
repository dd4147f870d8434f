"""Orders through REST to CONFIRMED: `python -m benchmarks.saga --orders 2000 --concurrency 1,16`.

Starts a stack of its own, warms it up, and for each concurrency places orders in a closed loop: each client places its
next order once the last one is confirmed. Prints orders/s, p50 and p99 from POST to CONFIRMED as the order's own
history has them, and the CPU of every process of the system and of the load itself. The last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg

from tests.support.stack import Stack, running, sent
from tests.support.wait import wait_until

PRODUCTS = 50
UNITS = 1_000_000
WARM_UP_ORDERS = 200
POLL_SECONDS = 0.01  # as a client that waits would ask
ORDER_SECONDS = 120
RESULTS = Path(__file__).parent / "results" / "saga.json"


class Client:
    """One kept-alive connection to the order service; http.client, because a richer one costs too much."""

    def __init__(self, stack: Stack) -> None:
        self.connection = HTTPConnection(urlsplit(stack.urls["order"]).netloc, timeout=30)
        self.headers = {"Authorization": f"Bearer {stack.state['tokens']['customer']}"}

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Return the JSON of a 2xx answer."""
        payload = None if body is None else json.dumps(body)
        self.connection.request(method, path, payload, {**self.headers, **headers})
        response = self.connection.getresponse()
        content = response.read()
        assert response.status < 300, (response.status, content)
        return json.loads(content)

    def order(self, sku: str) -> str:
        """Place one order, wait for its end, and return its id."""
        body = {"lines": [{"sku": sku, "quantity": 1}], "payment_method": "tok_ok"}
        order = self.call("POST", "/v1/orders", body, **{"Idempotency-Key": str(uuid.uuid4())})
        deadline = time.monotonic() + ORDER_SECONDS
        while order["status"] != "CONFIRMED":
            assert time.monotonic() < deadline, order
            time.sleep(POLL_SECONDS)
            order = self.call("GET", f"/v1/orders/{order['id']}")
        return order["id"]

    def seconds_to_confirmed(self, order_id: str) -> float:
        """Return what the order's own history says."""
        at = {e["type"]: e["recorded_at"] for e in self.call("GET", f"/v1/orders/{order_id}/events")["items"]}
        return (_time(at["OrderConfirmed"]) - _time(at["OrderPlaced"])).total_seconds()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def cpu_seconds(stack: Stack) -> dict[str, float]:
    """Return the CPU seconds that each process of the system has used, its children's included."""
    used = {"load": sum(psutil.Process().cpu_times()[:2])}
    for name, pid in stack.state["processes"].items():
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        used[name] = sum(
            sum(member.cpu_times()[:4]) if member is process else sum(member.cpu_times()[:2]) for member in family
        )
    return used


def stock(stack: Stack) -> list[str]:
    """List products with more units than any run sells; returns their SKUs."""
    skus = [f"BENCH-{n:03}" for n in range(PRODUCTS)]
    with stack.client("inventory", stack.state["tokens"]["staff"]) as staff:
        for sku in skus:
            sent(staff.put(f"/v1/products/{sku}", json={"name": sku, "unit_price": 100, "currency": "EUR"}), 200)
            goods = {"kind": "received", "quantity": UNITS, "reason": "benchmark"}
            sent(staff.post(f"/v1/products/{sku}/stock", json=goods, headers={"Idempotency-Key": sku}), 200)
    return skus


def priced(stack: Stack) -> int:
    """Return how many of the products can be ordered."""
    with psycopg.connect(stack.state["databases"]["order"]) as session:
        row = session.execute("SELECT count(*) FROM prices WHERE sku LIKE 'BENCH-%%'").fetchone()
    return row[0] if row else 0


def run(stack: Stack, skus: list[str], orders: int, concurrency: int) -> dict[str, float]:
    """Place so many orders with so many clients at once; returns the figures."""
    clients = threading.local()

    def one(n: int) -> str:
        if not hasattr(clients, "mine"):
            clients.mine = Client(stack)
        return clients.mine.order(skus[n % len(skus)])

    before, started = cpu_seconds(stack), time.perf_counter()
    with ThreadPoolExecutor(concurrency) as threads:
        placed = list(threads.map(one, range(orders)))
    seconds = time.perf_counter() - started
    after = cpu_seconds(stack)
    client = Client(stack)
    latencies = sorted(client.seconds_to_confirmed(order_id) for order_id in placed)
    spent = {name: (after[name] - before[name]) * 1000 / orders for name in after}
    _print_cpu(spent)
    system = sum(spent.values()) - spent["load"]
    return {
        "concurrency": concurrency,
        "orders": orders,
        "orders_per_s": round(orders / seconds, 1),
        "p50_ms": round(statistics.median(latencies) * 1000, 1),
        "p99_ms": round(latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))] * 1000, 1),
        "cpu_ms_per_order": round(system, 2),
        "load_cpu_ms_per_order": round(spent["load"], 2),
    }


def _print_cpu(spent: dict[str, float]) -> None:
    rows = sorted(spent.items(), key=lambda row: -row[1])
    print("CPU ms per order: " + ", ".join(f"{name} {ms:.2f}" for name, ms in rows if ms >= 0.01))


def _numbers(text: str) -> Iterator[int]:
    return (int(word) for word in text.split(","))


def main() -> None:
    """Run the benchmark and keep its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=2000, help="orders placed at each concurrency")
    parser.add_argument("--concurrency", default="1,16", help="clients at once, comma-separated")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="waybill-bench-", ignore_cleanup_errors=True) as folder,
        running(Path(folder)) as stack,
    ):
        skus = stock(stack)
        wait_until(lambda: priced(stack) >= PRODUCTS, deadline_seconds=30, what="the price list is there")
        run(stack, skus, WARM_UP_ORDERS, 8)
        print(f"warmed up with {WARM_UP_ORDERS} orders, not counted; {os.cpu_count()} cores")
        figures = []
        for concurrency in _numbers(given.concurrency):
            count = given.orders if concurrency > 1 else max(1, given.orders // 5)
            figures.append(run(stack, skus, count, concurrency))
            print(" ".join(f"{name}={value}" for name, value in figures[-1].items()))
    best = max(figures, key=lambda one: one["orders_per_s"])
    result = {**best, "runs": figures}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
