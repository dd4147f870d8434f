"""The webshop's orders come to the service of orders: by the relay, Kafka, and what `manage.py consume` finds."""

import uuid
from collections.abc import Iterator

import pytest

from devstack.harness.stack import Stack
from devstack.harness.wait import wait_until
from tests.support.moving import MONOLITH, Monolith, filled
from tests.support.providers.process import free_port

ORDERS = 5
DEADLINE_SECONDS = 60
# One program, where `manage.py` would be three.
PREPARE = """
from django.core.management import execute_from_command_line
for step in [("migrate", "-v0"), *(("contracts", step) for step in {steps!r})]:
    try:
        execute_from_command_line(["manage.py", *step])
    except SystemExit as done:
        assert not done.code, step
"""
LINES = """
INSERT INTO orders_orderline (order_id, product_id, name, price, quantity)
SELECT o.id, 1 + o.id % 5, 'Pan', 9.99, 2 FROM orders_order AS o, generate_series(1, 2)
"""
CHANGES = (
    "UPDATE orders_order SET status = 'shipped', shipped_at = now(), note = E'100% \\\\ \\'\u00e9' WHERE id = 1",
    "DELETE FROM orders_orderline WHERE order_id = 2",
    "DELETE FROM orders_orderline WHERE order_id = 3; DELETE FROM orders_order WHERE id = 3",
    "UPDATE orders_orderline SET price = 0.01 WHERE order_id = 4",
)
ORDER = """
SELECT id, customer_id, status, placed_at, shipped_at, name, email, street, postcode, city, note, total
FROM orders_order ORDER BY id
"""
LINE = "SELECT id, order_id, product_id, name, price, quantity FROM orders_orderline ORDER BY id"
RECEIVES = "INSERT INTO waybill_ownership (source, is_owner, epoch) VALUES ('orders', false, 0)"
CHOSEN = ("--aggregate", "orders")


class Orders(Monolith):
    """The service of orders, with a database of its own."""

    folder = MONOLITH / "services"
    settings = "orders.moving"


@pytest.fixture
def service(shop: Monolith, stack: Stack) -> Iterator[Monolith]:
    addresses = {
        "WAYBILL_KAFKA_BOOTSTRAP": stack.kafka,
        "WAYBILL_REGISTRY_URL": f"{stack.urls['registry']}/apis/ccompat/v7",
    }
    shop.variables |= {**addresses, "WAYBILL_PORT": str(free_port())}
    name = f"orders_{uuid.uuid4().hex[:8]}"
    shop.server.execute(f"CREATE DATABASE {name}")
    with Orders(shop.server, name, variables={**addresses, "SERVICE_DB_NAME": name}).another(name) as made:
        shop.manage("shell", "-c", PREPARE.format(steps=["topics", "register"]))
        made.manage("shell", "-c", PREPARE.format(steps=["register"]))
        yield made


def rows(side: Monolith) -> list[object]:
    return [side.execute(ORDER), side.execute(LINE)]


def test_the_webshops_orders_come_to_the_service_and_so_does_each_change(shop: Monolith, service: Monolith):
    filled(shop, ORDERS)
    shop.execute(LINES)
    service.execute(RECEIVES)
    for verb in (("capture", "on"), ("backfill",)):
        assert (done := shop.migrate(*verb, *CHOSEN)).returncode == 0, done
    shop.start("run", *CHOSEN)
    shop.begin("-W", "error", "manage.py", "relay")
    service.begin("-W", "error", "manage.py", "consume")
    dead_letters: list[object] = []

    def has_arrived() -> bool:
        dead_letters[:] = service.execute("SELECT headers FROM received WHERE status = -1")
        return rows(service) == rows(shop)

    for change in ("SELECT", *CHANGES):
        shop.execute(change)
        wait_until(has_arrived, deadline_seconds=DEADLINE_SECONDS, what=f"after {change!r}", seen=dead_letters)
    done = shop.migrate("verify", *CHOSEN, "--json", ORDERS_DATABASE_URL=service.url)
    assert (done.returncode, '"differ": 0' in done.stdout) == (0, True), done
