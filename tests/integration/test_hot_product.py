"""One product that everybody wants: three processes reserve it while it is restocked and counted."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

import catalogue.configured  # noqa: F401 - configures Django in the processes too
from devstack.harness.wait import wait_until
from inventory_service.domain import CorrectStock, InventoryCode, ReceiveStock
from inventory_service.models import ProductRow, ReservationRow
from inventory_service.service import service
from tests.support.databases import in_use
from tests.support.inbox import message
from tests.support.orders import cause, placed
from waybill.consumer import handling
from waybill.consumer.message import Message
from waybill.deciders import rebuild
from waybill.deciders.outcomes import CommandRefused
from waybill.deciders.unit_of_work import Caused, handle
from waybill.runtime.settings import settings

ORDERS, PROCESSES, BATCH = 90, 3, 5
ON_HAND = 10  # as the fixture has stocked it
LIMIT = 10**6


def consume(url: str, messages: list[Message]) -> None:
    """Handle messages as one more consumer of the group, in a process of its own."""
    with in_use(url):
        for first in range(0, len(messages), BATCH):
            handling.process(service, messages[first : first + BATCH], settings())


def changed(command) -> bool:
    """Tell whether staff's command was taken; it may only be refused to protect what is held."""
    try:
        handle(service, [Caused(command, cause())])
    except CommandRefused as error:
        if error.refused.code is not InventoryCode.STOCK_TOO_LOW:
            raise
        return False
    return True


@pytest.mark.slow
def test_no_unit_is_sold_twice_while_the_product_is_restocked_and_counted(inventory):
    messages = [message(placed(quantity=1)) for _ in range(ORDERS)]
    third = ORDERS // PROCESSES
    # After a rebalance two consumers may have the same messages for a moment.
    shares = [messages[n * third : (n + 1) * third + third // 3] for n in range(PROCESSES)]
    on_hand = ON_HAND
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as processes:
        working = [processes.submit(consume, inventory.service_url, share) for share in shares]
        wait_until(ReservationRow.objects.exists, deadline_seconds=60, what="the first reservation")
        while not all(future.done() for future in working):
            if on_hand < ORDERS // 2:
                on_hand += 2 * changed(ReceiveStock(sku="LAMP", quantity=2, reason="delivery", limit=LIMIT))
            on_hand -= changed(CorrectStock(sku="LAMP", change=-1, reason="count", limit=LIMIT))
        for future in working:
            future.result()
    product = ProductRow.objects.get(pk="LAMP")
    held = ReservationRow.objects.filter(status="RESERVED").count()
    assert held >= ON_HAND // 2
    assert held + ReservationRow.objects.filter(status="REJECTED").count() == ORDERS
    assert (product.on_hand, product.reserved) == (on_hand, held)
    different: list[rebuild.Difference] = []
    rebuild.check(service, rebuild.UNWATCHED, different.append)
    assert different == []


def test_a_count_below_what_is_held_is_refused_and_changes_nothing(inventory):
    handling.process(service, [message(placed(quantity=8))], settings())
    assert changed(CorrectStock(sku="LAMP", change=-2, reason="count", limit=LIMIT))
    with pytest.raises(CommandRefused, match="7 units would be left and 8 are held"):
        handle(service, [Caused(CorrectStock(sku="LAMP", change=-1, reason="count", limit=LIMIT), cause())])
    product = ProductRow.objects.get(pk="LAMP")
    assert (product.on_hand, product.reserved) == (8, 8)
