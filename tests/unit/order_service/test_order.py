from dataclasses import replace
from uuid import UUID

import pytest

from catalogue.book import plan
from order_service.domain import (
    CancelOrder,
    EraseImport,
    ExpireOrder,
    ImportOrder,
    MarkCharged,
    MarkDeclined,
    MarkOutOfStock,
    MarkPaymentReturned,
    MarkReserved,
    MarkStockReleased,
    Order,
    PlaceOrder,
    Reason,
    Status,
    decide,
    evolve,
)
from schemas.events import (
    OrderCancellationStarted,
    OrderCancelled,
    OrderCharged,
    OrderConfirmed,
    OrderImported,
    OrderImportErased,
    OrderLine,
    OrderPaymentClosed,
    OrderPlaced,
    OrderReserved,
    OrderStockClosed,
)
from tests.support.pairs import reachable
from tests.support.services import SERVICES
from waybill.deciders.outcomes import Ignored, Refused
from waybill.testing import Scenario

ID = UUID(int=1)
LINES = (OrderLine(sku="LAMP", quantity=2, unit_price=1999), OrderLine(sku="DESK", quantity=1, unit_price=10000))
PLACED = OrderPlaced(order_id=ID, customer_id="ann", lines=LINES, total=13998, currency="EUR", payment_method="tok_ok")
RESERVED = OrderReserved(order_id=ID, customer_id="ann", total=13998, currency="EUR", payment_method="tok_ok")
CHARGED = OrderCharged(order_id=ID, charge_id="ch_1", total=13998, currency="EUR")
CONFIRMED = OrderConfirmed(order_id=ID, customer_id="ann", lines=LINES, total=13998, currency="EUR")
STOCK_CLOSED = OrderStockClosed(order_id=ID)
PAYMENT_CLOSED = OrderPaymentClosed(order_id=ID)
PLACE = PlaceOrder(order_id=ID, customer_id="ann", lines=LINES, currency="EUR", payment_method="tok_ok")
COMMANDS = [
    PLACE,
    CancelOrder(order_id=ID),
    ExpireOrder(order_id=ID),
    MarkReserved(order_id=ID),
    MarkOutOfStock(order_id=ID),
    MarkCharged(order_id=ID, charge_id="ch_1"),
    MarkDeclined(order_id=ID),
    MarkStockReleased(order_id=ID),
    MarkPaymentReturned(order_id=ID),
]
IMPORTED = OrderImported(
    order_id=ID,
    customer_id="ann",
    status="PENDING",
    lines=LINES,
    total=13998,
    currency="EUR",
    placed_at="2025-03-01T10:00:00.000000Z",
    provenance="snapshot",
    source_version=4,
)
SHIPPED = replace(IMPORTED, status="CONFIRMED", shipped_at="2025-03-02T10:00:00.000000Z", source_version=5)
ERASED = OrderImportErased(order_id=ID, source_version=6)
FROM_THE_WEBSHOP = [
    ImportOrder(order_id=ID, stands=IMPORTED),
    ImportOrder(order_id=ID, stands=SHIPPED),
    EraseImport(order_id=ID, source_version=6),
]
order = Scenario(decide, evolve, Order(order_id=ID))


def started(reason):
    return OrderCancellationStarted(order_id=ID, customer_id="ann", lines=LINES, reason=reason)


def cancelled(reason):
    return OrderCancelled(order_id=ID, customer_id="ann", reason=reason)


def test_an_order_is_placed_at_the_sum_of_its_lines():
    order.when(PLACE).then(PLACED)


def test_a_total_that_no_provider_can_charge_is_refused():
    dear = (OrderLine(sku="YACHT", quantity=10_000, unit_price=10**15),)
    order.when(PlaceOrder(order_id=ID, customer_id="ann", lines=dear, currency="EUR", payment_method="tok_ok")).then(
        "amount_too_large"
    )


def test_a_held_stock_asks_for_the_payment():
    order.given(PLACED).when(MarkReserved(order_id=ID)).then(RESERVED)


def test_a_charge_confirms_in_the_same_step():
    order.given(PLACED, RESERVED).when(MarkCharged(order_id=ID, charge_id="ch_1")).then(CHARGED, CONFIRMED)


def test_out_of_stock_cancels_at_once():
    order.given(PLACED).when(MarkOutOfStock(order_id=ID)).then(cancelled(Reason.OUT_OF_STOCK))


def test_a_declined_payment_gives_the_stock_back_before_it_cancels():
    declined = order.given(PLACED, RESERVED)
    declined.when(MarkDeclined(order_id=ID)).then(started(Reason.PAYMENT_DECLINED))
    declined.given(started(Reason.PAYMENT_DECLINED)).when(MarkStockReleased(order_id=ID)).then(
        cancelled(Reason.PAYMENT_DECLINED)
    )


def test_a_clients_cancel_waits_for_stock_and_payment_whichever_comes_first():
    reason = Reason.CUSTOMER_REQUEST
    cancelling = order.given(PLACED, RESERVED, started(reason))
    cancelling.when(MarkStockReleased(order_id=ID)).then(STOCK_CLOSED)
    cancelling.when(MarkPaymentReturned(order_id=ID)).then(PAYMENT_CLOSED)
    cancelling.given(STOCK_CLOSED).when(MarkPaymentReturned(order_id=ID)).then(cancelled(reason))
    cancelling.given(PAYMENT_CLOSED).when(MarkStockReleased(order_id=ID)).then(cancelled(reason))


def test_a_charge_that_comes_after_the_cancel_does_not_confirm():
    order.given(PLACED, RESERVED, started(Reason.CUSTOMER_REQUEST)).when(
        MarkCharged(order_id=ID, charge_id="ch_1")
    ).then(Ignored)


def test_a_confirmed_order_can_no_longer_be_cancelled():
    order.given(PLACED, RESERVED, CHARGED, CONFIRMED).when(CancelOrder(order_id=ID)).then("too_late")


def test_cancelling_twice_is_one_cancellation():
    order.given(PLACED, started(Reason.CUSTOMER_REQUEST)).when(CancelOrder(order_id=ID)).then(Ignored)


def test_the_deadline_leaves_a_confirmed_order_alone():
    order.given(PLACED, RESERVED, CHARGED, CONFIRMED).when(ExpireOrder(order_id=ID)).then(Ignored)


def test_nothing_happens_to_an_order_that_was_never_placed():
    for command in COMMANDS[1:]:
        order.when(command).then(Refused)


def test_every_state_that_can_be_reached_decides_every_command():
    states = reachable(decide, evolve, Order(order_id=ID), [*COMMANDS, *FROM_THE_WEBSHOP])
    assert {state.status for state in states} == set(Status) - {Status.CHARGED}


def test_a_cancelled_or_confirmed_order_stays_so():
    for state in reachable(decide, evolve, Order(order_id=ID), COMMANDS):
        if state.status in {Status.CONFIRMED, Status.CANCELLED}:
            assert all(isinstance(decide(command, state), Ignored | Refused) for command in COMMANDS)


def test_each_state_of_an_order_of_the_webshop_is_one_event_and_nothing_else():
    told, shipped, erased = FROM_THE_WEBSHOP
    order.when(told).then(IMPORTED)
    order.given(IMPORTED).when(shipped).then(SHIPPED)
    order.given(IMPORTED, SHIPPED).when(erased).then(ERASED)


@pytest.mark.parametrize("given", [(IMPORTED, SHIPPED), (IMPORTED, SHIPPED, ERASED)], ids=["imported", "erased"])
def test_an_older_state_never_follows_a_newer_one(given):
    for older in FROM_THE_WEBSHOP[:2]:
        order.given(*given).when(older).then(Ignored)


def test_what_was_erased_and_is_there_again_is_taken_in_again():
    again = replace(IMPORTED, source_version=7)
    order.given(IMPORTED, ERASED).when(ImportOrder(order_id=ID, stands=again)).then(again)


@pytest.mark.parametrize("given", [(IMPORTED,), (SHIPPED,), (IMPORTED, ERASED)], ids=["open", "shipped", "erased"])
def test_no_client_deadline_or_service_moves_an_order_of_the_webshop(given):
    for command in COMMANDS:
        expected = Refused if isinstance(command, PlaceOrder | CancelOrder) else Ignored
        order.given(*given).when(command).then(expected)
    order.given(IMPORTED).when(CancelOrder(order_id=ID)).then("imported_order")


def test_an_order_that_was_placed_here_is_not_overwritten_from_the_webshop():
    for command in FROM_THE_WEBSHOP:
        order.given(PLACED).when(command).then("conflict")


def test_nothing_is_due_and_nobody_reacts_to_an_order_of_the_webshop():
    for told in (OrderImported, OrderImportErased):
        assert not [name for name in SERVICES if told.event_type in plan(name).reaction_to]
        assert told not in plan("order_service").due_after
