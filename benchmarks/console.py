"""`make bench-console`: each of the console's pages with a million orders and 200,000 dead letters, at the median.

The rows are made by SQL: 1,000,000 orders of which 1 % wait, seven events an order, and 100,000 dead letters in each of
two services. The web program is the real one, asked by one client over HTTP, signed in, each page as often as said. A
whole run keeps its figures in results/console.json.
"""

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import psycopg

from devstack import tokens
from devstack.harness.databases import Server, ServiceDatabase
from devstack.harness.interrupts import end_tidily
from devstack.harness.stack import CHECKOUT, Stack
from devstack.harness.wait import wait_until

RESULTS = Path(__file__).parent / "results" / "console.json"
ORDERS_MADE = 1_000_000
DEAD_LETTERS_MADE = 200_000
LIMIT_MS = 300
CUSTOMERS = 50_000
ORDERS = f"""
INSERT INTO console_order (order_id, customer_id, status, step_since, version, placed_at, total, currency, reason,
                           stock, stock_version, payment, payment_version, last_event_at)
SELECT ('018f0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'customer-' || n %% {CUSTOMERS},
       CASE WHEN n %% 100 = 0 THEN 'RESERVED' WHEN n %% 20 = 1 THEN 'CANCELLED' ELSE 'CONFIRMED' END,
       now() - make_interval(secs => (%(orders)s - n) * 2), 4, now() - make_interval(secs => (%(orders)s - n) * 2 + 1),
       3998, 'EUR', NULL, 'COMMITTED', 2, CASE WHEN n %% 100 = 0 THEN '' ELSE 'CHARGED' END, 1,
       now() - make_interval(secs => (%(orders)s - n) * 2)
FROM generate_series(1, %(orders)s) AS n
"""
EVENTS = """
INSERT INTO console_event
SELECT ('018f0000-0000-7000-9000-' || lpad(to_hex(n * 8 + k), 12, '0'))::uuid,
       (ARRAY['OrderPlaced', 'StockReserved', 'OrderReserved', 'PaymentCharged', 'OrderCharged', 'OrderConfirmed',
              'StockCommitted'])[k],
       (ARRAY['order', 'inventory', 'order', 'payment', 'order', 'order', 'inventory'])[k], 'order', n::text, k,
       ('018f0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'order.events.v1', n %% 6, n * 8 + k,
       now() - make_interval(secs => (%(orders)s - n) * 2 - k * 0.1), 'c' || n, '', ''
FROM generate_series(1, %(orders)s) AS n, generate_series(1, 7) AS k
"""
DEAD_LETTERS = """
INSERT INTO received (id, msg_id, headers, body, added, expires_at, retry, status)
SELECT gen_random_uuid(), 'bench:' || n,
       jsonb_build_object('consumer', 'bench_service', 'topic', 'order.events.v1', 'key', 'key-' || n %% 20000,
                          'place', 'order.events.v1/' || n %% 6 || '/' || n,
                          'reason', CASE WHEN n %% 5 = 0 THEN 'ValueError: a defect of kind ' || n %% 7
                                         ELSE 'behind a dead letter of its key' END,
                          'record', jsonb_build_object('ce_id', gen_random_uuid(), 'ce_sequence', '1',
                                                       'ce_type', 'waybill.order.OrderPlaced')),
       '{}', now(), now() + interval '30 days', 0, -1
FROM generate_series(1, %(letters)s) AS n
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the rows, ask for the pages, print each median and one JSON object."""
    end_tidily()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--orders", type=int, default=ORDERS_MADE)
    parser.add_argument("--dead-letters", type=int, default=DEAD_LETTERS_MADE)
    parser.add_argument("--repeats", type=int, default=15, help="how often each page is asked for (default: 15)")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="waybill-console-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        with (
            _postgres(home / "stack") as server,
            _databases(server, given.orders, given.dead_letters) as urls,
            _web(home, urls) as client,
        ):
            medians = {page: _median(client, page, given.repeats) for page in _pages(client, given.orders)}
    for page, milliseconds in medians.items():
        print(f"{milliseconds:8.1f} ms  {page}")
    slow = sorted(page for page, milliseconds in medians.items() if milliseconds >= LIMIT_MS)
    figures = {"orders": given.orders, "dead_letters": given.dead_letters, "load": os.getloadavg()[0]}
    found = {**figures, "slowest_ms": max(medians.values()), "over_300_ms": slow, "pages": medians}
    if (given.orders, given.dead_letters) == (ORDERS_MADE, DEAD_LETTERS_MADE):
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


@contextmanager
def _postgres(home: Path) -> Iterator[Server]:
    stack = Stack(home, {**os.environ, "WAYBILL_HOME": str(home)})
    try:
        stack.devstack("up", "--only", "postgres", "--no-demo")
        yield Server(stack.superuser_url)
    finally:
        stack.devstack("reset")


@contextmanager
def _databases(server: Server, orders: int, letters: int) -> Iterator[Mapping[str, str]]:
    with (
        server.fresh("console_service") as console,
        server.fresh("order_service") as order,
        server.fresh("payment_service") as payment,
    ):
        began = time.monotonic()
        _fill(console, (ORDERS, EVENTS), {"orders": orders})
        for service in (order, payment):
            _fill(service, (DEAD_LETTERS,), {"letters": letters // 2})
        print(f"rows made in {time.monotonic() - began:.0f} s", flush=True)
        yield {"console": console.service_url, "order": order.service_url, "payment": payment.service_url}


def _fill(database: ServiceDatabase, statements: Sequence[str], values: Mapping[str, int]) -> None:
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        for statement in statements:
            owner.execute(statement, values)
        owner.execute("VACUUM ANALYZE")  # as autovacuum does, minutes later


@contextmanager
def _web(home: Path, urls: Mapping[str, str]) -> Iterator[httpx.Client]:
    (home / "issuer").mkdir(exist_ok=True)
    tokens.prepare(home)
    port, health = _free_port(), _free_port()
    environment = {
        **os.environ,
        "WAYBILL_DATABASE_URL": urls["console"],
        "WAYBILL_OUTBOX_DATABASES": f"order={urls['order']},payment={urls['payment']}",
        "WAYBILL_PORT": str(port),
        "WAYBILL_HEALTH_PORT": str(health),
        "WAYBILL_ENVIRONMENT": "development",
        "WAYBILL_JWKS_FILE": str(tokens.jwks_file(home)),
        "WAYBILL_TOKEN_ISSUER": tokens.ISSUER,
        "WAYBILL_TOKEN_AUDIENCE": tokens.AUDIENCE,
    }
    with (home / "web.log").open("wb") as log:
        command = [sys.executable, "-m", "console_service", "web"]
        process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=log, stderr=log)
    base = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=base, timeout=60, trust_env=False, headers={"Origin": base}) as client:
            wait_until(lambda: _answers(client), deadline_seconds=60, what="the web program")
            csrf, *_ = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', client.get("/login").text)
            token = tokens.mint(home, "bench", tokens.OPERATOR)
            client.post("/login", data={"csrfmiddlewaretoken": csrf, "token": token, "next": "/"})
            yield client
    finally:
        process.terminate()
        process.wait(30)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/login").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _pages(client: httpx.Client, orders: int) -> list[str]:
    """Return what the navigation leads to, and the orders by each filter, deep in the list and one by one."""
    found = re.findall(r'<li><a href="(/[a-z]*)"', client.get("/").text)
    order = f"018f0000-0000-7000-8000-{orders // 2:012x}"
    filters = ("?open=1", "?older=60", "?step=CANCELLED", "?step=PENDING", "?customer=customer-7", f"?order={order}")
    deep = "/orders"
    for _ in range(5):
        following = re.search(r'href="(\?[^"]+)" rel="next"', client.get(deep).text)
        assert following is not None
        deep = f"/orders{following[1].replace('&amp;', '&')}"
    return [*found, *(f"/orders{one}" for one in filters), deep, f"/orders/{order}", *_failures(client)]


def _failures(client: httpx.Client) -> list[str]:
    """Return a service's dead letters, a group's, the page after, one key's, and one dead letter."""
    (group, *_) = re.findall(r'href="(/failures\?[^"]+reason_class=ValueError[^"]+)"', client.get("/failures").text)
    page = client.get(group.replace("&amp;", "&")).text
    (following,) = re.findall(r'href="(\?[^"]+)" rel="next"', page)
    (key, *_) = re.findall(r'href="(/failures\?service=[a-z]+&amp;key=[^"]+)"', page)
    (one, *_) = re.findall(r'href="(/failures/[a-z]+/[^"]+)"', page)
    found = ["/failures?service=order&kind=message", group, f"/failures{following}", key, one]
    return [address.replace("&amp;", "&") for address in found]


def _median(client: httpx.Client, page: str, repeats: int) -> float:
    taken: list[float] = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        response = client.get(page)
        taken.append((time.perf_counter() - began) * 1000)
        assert response.status_code == httpx.codes.OK, (page, response.status_code, response.text[:500])
    return round(statistics.median(taken[1:]), 1)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


if __name__ == "__main__":
    main()
