"""A dead service stops only its own step; what is away is frozen here, so that nothing restarts it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psutil
import psycopg
import pytest

from devstack.harness.stack import Stack, sent
from devstack.harness.wait import wait_until
from tests.support.audit import until_they_agree
from tests.support.outbox_command import Ended, outbox


@contextmanager
def away(stack: Stack, *prefixes: str) -> Iterator[None]:
    """Freeze every process whose name begins so, its children too, for the length of the block."""
    named = [psutil.Process(pid) for name, pid in stack.state["processes"].items() if name.startswith(prefixes)]
    family = [*named, *(child for parent in named for child in parent.children(recursive=True))]
    try:
        for member in family:
            member.send_signal(signal.SIGSTOP)
        yield
    finally:
        for member in family:
            if member.is_running():
                os.kill(member.pid, signal.SIGCONT)


def status(stack: Stack, *arguments: str) -> Ended:
    return outbox("status", *arguments, WAYBILL_HOME=str(stack.home))


def test_orders_are_taken_while_everything_else_is_away_and_finish_afterwards(shop):
    sku = shop.product(10)
    with away(shop.stack, "kafka", "registry", "provider", "mailbox", "inventory", "payment", "notification"):
        orders = [shop.order(sku) for _ in range(5)]
        assert {sent(shop.customer.get(f"/v1/orders/{o['id']}"), 200)["status"] for o in orders} == {"PENDING"}
    assert [shop.at_rest(order)["status"] for order in orders] == ["CONFIRMED"] * 5
    shop.settled(sku, on_hand=5)
    until_they_agree(shop.stack)


def test_connections_that_the_database_closed_cost_no_client_an_error(shop):
    sku = shop.product(100)
    shop.order(sku)
    for _ in range(3):
        with psycopg.connect(shop.stack.superuser_url, autocommit=True) as server:
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'order_service'")
        order = shop.order(sku)
        assert sent(shop.customer.get(f"/v1/orders/{order['id']}"), 200)["id"] == order["id"]


@pytest.mark.parametrize("dead", ["notification", "registry", "mailbox"])
def test_an_order_is_confirmed_while_what_it_does_not_need_is_away(shop, dead):
    sku = shop.product(1)
    with away(shop.stack, dead):
        order = shop.order(sku)
        assert shop.at_rest(order)["status"] == "CONFIRMED"
    shop.until(lambda: shop.mails(order) == ["Your order is confirmed"], "the mail comes later")


def test_an_order_is_confirmed_while_the_console_is_away_which_shows_it_afterwards(shop):
    sku = shop.product(1)
    shown = "SELECT status FROM console_order WHERE order_id = %s"
    with psycopg.connect(shop.stack.database("console"), autocommit=True) as console:
        with away(shop.stack, "console"):
            order = shop.order(sku)
            assert shop.at_rest(order)["status"] == "CONFIRMED"
            shop.until(lambda: shop.mails(order) == ["Your order is confirmed"], "the mail comes")
            assert console.execute(shown, [order["id"]]).fetchone() is None
        shop.until(lambda: console.execute(shown, [order["id"]]).fetchone() == ("CONFIRMED",), "the console shows it")


def _started_again(stack: Stack, name: str, killed: int) -> bool:
    return stack.pid(name) not in {killed, 0}


@pytest.mark.slow
def test_programs_that_start_while_the_registry_is_away_miss_nothing(shop):
    sku = shop.product(1)
    with away(shop.stack, "registry"):
        killed = {
            name: pid
            for name, pid in shop.stack.state["processes"].items()
            if name.endswith((".relay", ".consumer", ".worker"))
        }
        assert len(killed) >= 8
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        for name, pid in killed.items():
            back = partial(_started_again, shop.stack, name, pid)
            wait_until(back, deadline_seconds=90, what=f"{name} is back")
        order = shop.order(sku)
        assert shop.at_rest(order)["status"] == "CONFIRMED"
    until_they_agree(shop.stack)


@pytest.mark.slow
def test_status_says_which_programs_miss_the_broker_and_which_are_silent(shop):
    sku = shop.product(1)

    def told() -> dict[str, str]:
        found = status(shop.stack, "--json").lines()
        return {f"{one['service']}.{p['program']}": reason(p) for one in found for p in one["programs"]}

    def reason(program: dict[str, Any]) -> str:
        return "silent" if program["silent"] else (program["reason"] or program["state"]).partition(":")[0]

    working = dict.fromkeys(("order.consumer", "order.web", "payment.worker"), "working") | {"order.relay": "leading"}
    wait_until(lambda: told().items() >= working.items(), deadline_seconds=40, what="all at work")
    wait_until(lambda: status(shop.stack).code == 0, deadline_seconds=40, what="exit code 0")
    with away(shop.stack, "kafka", "payment.worker"):
        order = shop.order(sku)
        missed = {"order.consumer": "broker", "order.relay": "broker", "payment.worker": "silent"}
        wait_until(lambda: told().items() >= missed.items(), deadline_seconds=90, what=f"{missed}")
        assert status(shop.stack).code == 1
    assert shop.at_rest(order)["status"] == "CONFIRMED"
    wait_until(lambda: status(shop.stack).code == 0, deadline_seconds=40, what="exit code 0 again")


def test_payments_away_leaves_the_order_waiting_with_its_stock_held(shop):
    sku = shop.product(1)
    with away(shop.stack, "payment", "provider"):
        order = shop.order(sku)
        path = f"/v1/orders/{order['id']}"
        shop.until(lambda: sent(shop.customer.get(path), 200)["status"] == "RESERVED", "RESERVED")
        assert shop.stock(sku) == (1, 1)
    assert shop.at_rest(order)["status"] == "CONFIRMED"
