"""Whatever is killed while orders flow, every order ends, charged and committed exactly once."""

import os
import signal

import pytest

from devstack.harness.stack import order_at_rest
from devstack.harness.wait import wait_until
from devstack.parts import names
from tests.support.audit import until_they_agree
from tests.support.load import orders_flowing

# One of each kind; the services' other programs of a kind are the same code.
ONE_OF_EACH = {"postgres", "kafka", "registry", "provider"}
ONE_OF_EACH |= {"order.web", "inventory.consumer", "order.relay", "payment.worker"}


@pytest.fixture(scope="module")
def sku(shop):
    return shop.product(1_000_000)


@pytest.mark.parametrize(
    "process",
    [pytest.param(name, marks=() if name in ONE_OF_EACH else pytest.mark.slow) for name in names()],
)
def test_orders_end_well_when_a_process_is_killed(shop, sku, process):
    pid = shop.stack.pid(process)
    with orders_flowing(shop.stack, sku) as load:
        wait_until(lambda: len(load.placed) >= 5, deadline_seconds=60, what="orders flow")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: shop.stack.pid(process) not in {pid, 0}, deadline_seconds=60, what=f"{process} is back")
        enough = len(load.placed) + 5
        wait_until(lambda: len(load.placed) >= enough, deadline_seconds=90, what="orders flow again")
    assert load.wrong == []
    for order_id in load.placed:
        order_at_rest(shop.customer, order_id, deadline_seconds=90)
    until_they_agree(shop.stack)
