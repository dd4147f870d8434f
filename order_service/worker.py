"""The deadline of an order."""

from chassis.service import after
from chassis.settings import read
from order_service.domain import ExpireOrder, Order
from order_service.settings import OrderSettings
from schemas.events import OrderPlaced


@after(OrderPlaced, delay=read(OrderSettings).order_deadline)
def expire_order(order: Order, _: OrderPlaced) -> ExpireOrder:
    """Cancel what is still open."""
    return ExpireOrder(order_id=order.order_id)
