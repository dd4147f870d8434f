"""A price list that was corrupted is built anew from its topic, while products are repriced and orders are placed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from devstack.harness.stack import Stack, sent
from devstack.harness.wait import wait_until
from tests.support.outbox_command import Ended, outbox
from tests.support.shop import Shop

COPIES = ("rebuild", "--copies", "--service", "order")
CORRUPT = (
    "UPDATE prices SET unit_price = 1, source_version = 9000 WHERE sku = %(too_new)s",
    "UPDATE prices SET unit_price = 1, currency = 'EUR' WHERE sku = %(delisted)s",
    "DELETE FROM prices WHERE sku = %(gone)s",
    "INSERT INTO prices (sku, unit_price, currency, source_version) VALUES ('T-ghost', 1, 'EUR', 1)",
)


def command(stack: Stack, *arguments: str) -> Ended:
    databases = {"WAYBILL_OUTBOX_DATABASES": f"order={stack.state['databases']['order']}"}
    return outbox(*COPIES, *arguments, **databases, WAYBILL_KAFKA_BOOTSTRAP=stack.kafka)


def rows(stack: Stack, service: str, statement: str) -> dict[str, tuple[object, ...]]:
    with psycopg.connect(stack.state["databases"][service]) as session:
        return {sku: tuple(rest) for sku, *rest in session.execute(statement).fetchall()}


def price_list(stack: Stack) -> dict[str, tuple[object, ...]]:
    return rows(stack, "order", "SELECT sku, unit_price, currency FROM prices")


def products(stack: Stack) -> dict[str, tuple[object, ...]]:
    listed = "CASE WHEN status = 'LISTED' THEN {} END"
    columns = ", ".join(listed.format(column) for column in ("unit_price", "currency"))
    return rows(stack, "inventory", f"SELECT sku, {columns} FROM products")


@contextmanager
def trading(shop: Shop, sku: str, repriced: str) -> Iterator[list[int]]:
    """Place orders for one product and reprice another, all the while; yields the prices that orders got."""
    stop, prices, failures = threading.Event(), list[int](), list[BaseException]()

    def until_stopped(act: object) -> None:
        try:
            while not stop.is_set():
                act()  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    def reprice() -> None:
        price = 1000 + len(prices)
        product = {"name": "A lamp", "unit_price": price, "currency": "EUR"}
        sent(shop.staff.put(f"/v1/products/{repriced}", json=product), 200)

    threads = [
        threading.Thread(
            target=until_stopped, args=(lambda: prices.append(shop.order(sku)["lines"][0]["unit_price"]),)
        ),
        threading.Thread(target=until_stopped, args=(reprice,)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield prices
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert failures == []


@pytest.fixture
def corrupted(shop: Shop) -> dict[str, str]:
    """Products whose prices are wrong in each way that there is."""
    skus = {name: shop.product(0, unit_price=1999) for name in ("too_new", "delisted", "gone")}
    assert shop.staff.delete(f"/v1/products/{skus['delisted']}").status_code == 204
    shop.until_priced(skus["delisted"], None)
    with psycopg.connect(shop.stack.database("order"), autocommit=True) as superuser:
        for statement in CORRUPT:
            superuser.execute(statement, skus)
    return skus


def test_a_corrupted_price_list_is_built_anew_while_orders_are_placed_and_products_repriced(shop, corrupted):
    stack = shop.stack
    sold, repriced = shop.product(0, unit_price=500), shop.product(0, unit_price=600)
    shown = command(stack, "--json")
    assert shown.code == 1, shown.err
    wrong = {line["aggregate_id"] for line in shown.lines()}
    assert wrong >= {*corrupted.values(), "T-ghost"}
    assert price_list(stack)["T-ghost"] == (1, "EUR"), "a dry run writes nothing"

    with trading(shop, sold, repriced) as prices:
        wait_until(lambda: len(prices) > 5, deadline_seconds=30, what="orders are placed")
        done = command(stack, "--execute", "--reason", "a restore went wrong", "--json")
        assert done.code == 0, done.err
        assert {line["aggregate_id"] for line in done.lines()} >= wrong
        after = len(prices)
        wait_until(lambda: len(prices) > after + 5, deadline_seconds=30, what="orders are placed afterwards")
    assert set(prices) == {500}
    wait_until(
        lambda: price_list(stack) == products(stack), deadline_seconds=30, what="the price list is the products'"
    )
    again = command(stack)
    assert (again.code, "no copy differs" in again.err) == (0, True), again.err
    audit = "SELECT verb, reason FROM waybill_operator_action ORDER BY id DESC LIMIT 1"
    assert rows(stack, "order", audit) == {"rebuild --copies": ("a restore went wrong",)}


def test_a_service_without_copies_says_so(stack):
    databases = {"WAYBILL_OUTBOX_DATABASES": f"payment={stack.state['databases']['payment']}"}
    done = outbox("rebuild", "--copies", "--service", "payment", **databases, WAYBILL_KAFKA_BOOTSTRAP=stack.kafka)
    assert done.code != 0
    assert "payment_service keeps no copies of other services' data" in done.err
