"""The deadlines of an order: to be confirmed, and to be cancelled for good."""

from order_service.domain import ExpireOrder, Order, Status
from order_service.settings import OrderSettings
from schemas.events import OrderCancellationStarted, OrderPlaced
from waybill.deciders.outcomes import NeedsAttention
from waybill.deciders.service import Tried, after
from waybill.runtime.settings import read


@after(OrderPlaced, delay=lambda: read(OrderSettings).order_deadline, movable=True)
def expire_order(order: Order, _: OrderPlaced, __: Tried) -> ExpireOrder:
    """Cancel what is still open."""
    return ExpireOrder(order_id=order.order_id)


@after(
    OrderCancellationStarted,
    delay=lambda: read(OrderSettings).order_cancellation_deadline,
    movable=True,
    remediation="payment awaited: `outbox attention --service payment` lists its void or refund with what to do, and "
    "`outbox settle --service payment ORDER_ID` ends a refund that was settled elsewhere; stock awaited, or nothing "
    "listed: `outbox status`, then `outbox dead-letters` and `outbox redrive` with --service inventory, payment "
    "or order",
)
def end_cancellation(order: Order, _: OrderCancellationStarted, __: Tried) -> None:
    """See that what was held and charged is given back; only an operator can help where it is not."""
    if order.status is not Status.CANCELLING:
        return
    halves = {"the stock": order.stock_closed, "the payment": order.payment_closed}
    raise NeedsAttention(
        f"still CANCELLING: awaits {' and '.join(half for half, closed in halves.items() if not closed)}"
    )
