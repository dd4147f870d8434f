"""The webshop moves while it is used: programs and the server are killed, and nothing is lost, doubled or set back."""

import io
import json
import random
import threading
import time
from itertools import pairwise

import psycopg
import pytest
from fastavro import parse_schema, schemaless_reader

from devstack.harness.wait import wait_until
from tests.support.moving import MONOLITH, Monolith, filled

ORDERS, WRITERS, SEED = 400, 2, 20
LINE = "INSERT INTO orders_orderline (order_id, product_id, name, price, quantity) VALUES (%s, %s, 'Pan', 1.10, 1)"
RISE = "UPDATE orders_order SET total = total + 0.01 WHERE id = %s"
MANY = "UPDATE orders_order SET total = total + 0.01 WHERE id BETWEEN %s AND %s"
# What the ORM does without a signal: update of a set, bulk_create, delete.
ORM = """
from django.db.models import F
from shop.orders.models import Order, OrderLine
for n in range(60):
    first = 7 * n % 390
    Order.objects.filter(pk__range=(first, first + 9)).update(total=F("total") + 1)
    OrderLine.objects.bulk_create(
        OrderLine(order_id=1 + (first + k) % 400, product_id=1 + k, name="Pan", price=2, quantity=3) for k in range(3))
    OrderLine.objects.filter(order_id=1 + n % 400).delete()
Order.objects.filter(pk=400).delete()
"""
LOG = "SELECT aggregate_id, aggregate_version, event_type, payload FROM waybill_outbox ORDER BY position"
ROWS = """
SELECT known.aggregate_id, (total * 100)::bigint, (SELECT count(*) FROM orders_orderline WHERE order_id = o.id),
    (SELECT coalesce(sum(quantity), 0) FROM orders_orderline WHERE order_id = o.id)
FROM orders_order AS o LEFT JOIN waybill_capture_state AS known ON known.key = o.id::text
"""


@pytest.fixture
def used(shop: Monolith):
    """The webshop with orders, and writers that go on through every fault until the test says so."""
    filled(shop, ORDERS)
    ended, written = threading.Event(), [0]

    def write(seed: int) -> None:
        chance = random.Random(seed)
        while not ended.is_set():
            try:
                with psycopg.connect(shop.url, autocommit=True) as writer:
                    while not ended.is_set():
                        one = chance.randint(1, ORDERS - 10)
                        what = [(RISE, one), (LINE, one, chance.randint(1, 5)), (MANY, one, one + 5)]
                        statement, *values = chance.choice(what)
                        writer.execute(statement, values)
                        written[0] += 1
                        time.sleep(0.002)  # a shop's load, not the machine's
            except psycopg.OperationalError:
                continue

    writers = [threading.Thread(target=write, args=[SEED + n]) for n in range(WRITERS)]
    for one in writers:
        one.start()

    def end() -> int:
        ended.set()
        for one in writers:
            one.join(60)
        return written[0]

    yield shop, end
    end()


def told(shop: Monolith) -> dict[str, list[dict]]:
    """What the outbox tells of each order, first to last."""
    schemas = {
        name: parse_schema(json.loads((MONOLITH / f"schemas/shop.orders.v1/{name}.v1.avsc").read_text()))
        for name in ("OrderRecorded", "OrderErased")
    }
    found: dict[str, list[dict]] = {}
    for key, version, kind, payload in shop.execute(LOG):
        name = kind.removeprefix("shop.")
        datum = schemaless_reader(io.BytesIO(payload), schemas[name], None)
        mine = found.setdefault(key, [])
        assert version == len(mine) + 1, f"{key}: a hole or a copy at version {version}"
        mine.append({**datum, "what": name})
    return found


def progress(shop: Monolith) -> int:
    return shop.execute("SELECT count(*) FROM waybill_outbox")[0][0]


def test_kill_9_of_run_backfill_and_server_lose_nothing_double_nothing_and_set_nothing_back(used):
    shop, end = used
    assert shop.migrate("capture", "on").returncode == 0
    orm = threading.Thread(target=shop.manage, args=["shell", "-c", ORM])
    programs = {"backfill": ("backfill", "--rate", "150"), "run": ("run", "--batch", "20")}
    running = {name: shop.start(*arguments) for name, arguments in programs.items()}
    for victim in ("run", "backfill", "server", "run"):
        before = progress(shop)
        wait_until(lambda before=before: progress(shop) > before, deadline_seconds=60, what="events")
        if victim == "server":
            shop.server.restart()  # kill -9: `run` waits for it, and the backfill is started again below
            orm.start()
        else:
            running[victim].kill()
            running[victim].wait(10)
            running[victim] = shop.start(*programs[victim])
    orm.join(60)
    finished = shop.migrate("backfill", "--json")
    assert json.loads(finished.stdout)["finished"], finished
    written = end()
    running["run"].terminate()
    assert running["run"].wait(20) in {0, 1}
    assert shop.migrate("run", "--until-empty").returncode == 0

    events, rows = told(shop), shop.execute(ROWS)
    assert written > 100
    assert len(rows) == ORDERS - 1  # one is deleted
    for key, total, lines, quantity in rows:
        last = events[key][-1]
        there = (last["total"], len(last["lines"]), sum(line["quantity"] for line in last["lines"]))
        assert there == (total, lines, quantity), f"lost: {key}"
    for mine in events.values():
        assert all(later != former for former, later in pairwise(mine)), "doubled"
        totals = [one["total"] for one in mine if one["what"] == "OrderRecorded"]
        assert totals == sorted(totals), "set back"
    gone = events.keys() - {key for key, *_ in rows}
    assert all(events[key][-1]["what"] == "OrderErased" for key in gone)
    status = shop.migrate("status", "--json")
    assert (status.returncode, json.loads(status.stdout)["queued"]) == (0, 0)
