"""What the payment service makes of the order's events."""

from payment_service.domain import RequestPayment, ReturnPayment
from schemas.events import OrderCancellationStarted, OrderReserved
from waybill.deciders.service import on


@on(OrderReserved)
def order_reserved(event: OrderReserved) -> RequestPayment:
    """Charge the customer."""
    return RequestPayment(
        order_id=event.order_id,
        customer_id=event.customer_id,
        amount=event.total,
        currency=event.currency,
        payment_method=event.payment_method,
    )


@on(OrderCancellationStarted)
def order_cancellation_started(event: OrderCancellationStarted) -> ReturnPayment:
    """See to it that nothing is or stays charged."""
    return ReturnPayment(order_id=event.order_id)
