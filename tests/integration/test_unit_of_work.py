"""The unit of work: a batch is one load, decisions in memory, one save."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory_service.domain import ReserveStock
from inventory_service.models import ProductRow, ReservationRow
from inventory_service.models import to_state as stock_of
from inventory_service.service import service as inventory
from order_service.domain import CancelOrder, MarkReserved, Order, evolve
from order_service.models import OrderRow, to_state
from order_service.service import service as orders
from schemas.events import StockLine
from tests.support.orders import cause, place
from tests.support.stock import stocked
from waybill.deciders.outcomes import CommandRefused, Ignored
from waybill.deciders.unit_of_work import Caused, handle
from waybill.outbox import outbox


def test_a_batch_costs_as_many_statements_as_one_command(order_database):
    counts = []
    for size in (1, 200):
        with CaptureQueriesContext(connection) as captured:
            handle(orders, [place() for _ in range(size)])
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_a_later_command_sees_what_an_earlier_one_decided(order_database):
    placed = place()
    order_id = placed.command.order_id
    cancel = Caused(CancelOrder(order_id=order_id), cause())
    first, second, third = handle(orders, [placed, cancel, cancel])
    assert [type(e).__name__ for e in first.decision] == ["OrderPlaced"]
    assert [type(e).__name__ for e in second.decision] == ["OrderCancellationStarted"]
    assert isinstance(third.decision, Ignored)
    assert OrderRow.objects.get(pk=order_id).version == 2


def test_a_refused_command_leaves_nothing_of_its_batch(order_database):
    with pytest.raises(CommandRefused, match="no such order"):
        handle(orders, [place(), Caused(MarkReserved(order_id=uuid4()), cause())])
    assert not OrderRow.objects.exists()


def test_the_row_is_the_fold_of_its_events(order_database):
    placed = place()
    order_id = placed.command.order_id
    handle(orders, [placed, Caused(MarkReserved(order_id=order_id), cause())])
    handle(orders, [Caused(CancelOrder(order_id=order_id), cause())])
    folded = Order(order_id=order_id)
    for recorded in outbox.history("order", str(order_id)):
        folded = evolve(folded, recorded.event)
    assert folded == to_state({"order": {order_id: OrderRow.objects.get(pk=order_id)}})


def reserve(sku, quantity=1):
    return Caused(ReserveStock(order_id=uuid4(), lines=(StockLine(sku=sku, quantity=quantity),)), cause())


def test_nothing_is_sold_twice_by_many_at_once(inventory_database):
    stocked("LAMP", 25)

    def one_after_another(_):
        try:
            for _ in range(10):
                handle(inventory, [reserve("LAMP")])
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one_after_another, range(8)))
    product = ProductRow.objects.get(pk="LAMP")
    assert (product.on_hand, product.reserved) == (25, 25)
    assert ReservationRow.objects.filter(status="RESERVED").count() == 25
    assert ReservationRow.objects.filter(status="REJECTED").count() == 55


def test_two_who_create_the_same_row_at_once_make_it_once(inventory_database):
    stocked("LAMP", 100)
    command = reserve("LAMP")

    def same(_):
        try:
            return handle(inventory, [command])[0].decision
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        decisions = list(threads.map(same, range(8)))
    assert sum(not isinstance(decision, Ignored) for decision in decisions) == 1
    assert ProductRow.objects.get(pk="LAMP").reserved == 1


def test_a_product_is_the_fold_of_its_events_and_its_reservations(inventory_database):
    stocked("LAMP", 5)
    handle(inventory, [reserve("LAMP", 2), reserve("LAMP", 9)])
    rows = {"product": {"LAMP": ProductRow.objects.get(pk="LAMP")}}
    product = stock_of(rows).products["LAMP"]
    assert (product.on_hand, product.reserved, product.free) == (5, 2, 3)
    assert rows["product"]["LAMP"].version == 2
