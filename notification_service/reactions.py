"""What the customer is told of the other services' events."""

from notification_service.domain import Kind, Notify
from schemas.events import OrderCancelled, OrderConfirmed, PaymentRefunded
from waybill.deciders.service import on


@on(OrderConfirmed)
def order_confirmed(event: OrderConfirmed) -> Notify:
    """Tell that the goods are on their way."""
    return Notify(order_id=event.order_id, customer_id=event.customer_id, kind=Kind.ORDER_CONFIRMED)


@on(OrderCancelled)
def order_cancelled(event: OrderCancelled) -> Notify:
    """Tell that nothing will come, and why."""
    return Notify(
        order_id=event.order_id, customer_id=event.customer_id, kind=Kind.ORDER_CANCELLED, reason=event.reason
    )


@on(PaymentRefunded)
def payment_refunded(event: PaymentRefunded) -> Notify | None:
    """Tell that the money is on its way back, unless it was written off."""
    if event.settled_by == "written_off":
        return None
    return Notify(order_id=event.order_id, customer_id=event.customer_id, kind=Kind.PAYMENT_REFUNDED)
