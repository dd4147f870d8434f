"""What the order's worker does once a deadline has come."""

from uuid import uuid4

import pytest

from order_service.domain import Order, Status, evolve
from order_service.worker import end_cancellation
from schemas.events import (
    OrderCancellationStarted,
    OrderCancelled,
    OrderPaymentClosed,
    OrderPlaced,
    OrderStockClosed,
)
from waybill.deciders.outcomes import NeedsAttention
from waybill.deciders.service import Tried

ORDER_ID = uuid4()
PLACED = OrderPlaced(order_id=ORDER_ID, customer_id="ann", lines=(), total=1, currency="EUR", payment_method="tok_ok")
STARTED = OrderCancellationStarted(order_id=ORDER_ID, customer_id="ann", lines=(), reason="requested")
CANCELLED = OrderCancelled(order_id=ORDER_ID, customer_id="ann", reason="requested")


def after(*events) -> Order:
    order = Order(order_id=ORDER_ID)
    for event in events:
        order = evolve(order, event)
    return order


@pytest.mark.parametrize(
    ("closed", "awaited"),
    [
        ((), "the stock and the payment"),
        ((OrderStockClosed(order_id=ORDER_ID),), "the payment"),
        ((OrderPaymentClosed(order_id=ORDER_ID),), "the stock"),
    ],
)
def test_a_cancellation_past_its_deadline_needs_attention_and_names_what_it_awaits(closed, awaited):
    with pytest.raises(NeedsAttention, match=f"awaits {awaited}$"):
        end_cancellation(after(PLACED, STARTED, *closed), STARTED, Tried())


def test_a_cancellation_that_has_ended_is_left_alone():
    ended = after(PLACED, STARTED, CANCELLED)
    assert ended.status is Status.CANCELLED
    assert end_cancellation(ended, STARTED, Tried()) is None
