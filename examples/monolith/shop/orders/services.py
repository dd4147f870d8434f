"""What is done with orders."""

from django.db import transaction
from django.utils import timezone

from shop.cart.cart import total
from shop.orders import mails
from shop.orders.models import Order, OrderLine


class NotPossible(Exception):
    """What was asked for is refused, with words for whoever asked."""


@transaction.atomic
def place(customer, items, **values):
    """Take the items out of stock and make an order of them. Raises NotPossible, with nothing taken."""
    if not items:
        raise NotPossible("The cart is empty.")
    taken = []
    for item in items:
        if not item.product.change_stock(-item.quantity):
            give_back(taken)
            raise NotPossible(f"Of {item.product} there are only {item.product.stock} left.")
        taken.append(item)
    order = Order.objects.create(customer=customer, total=total(items), **values)
    lines = [
        OrderLine(
            order=order,
            product=item.product,
            name=item.product.name,
            price=item.product.price,
            quantity=item.quantity,
        )
        for item in items
    ]
    OrderLine.objects.bulk_create(lines)
    return order


def give_back(items):
    for item in items:
        item.product.change_stock(item.quantity)


def ship(order):
    """Send a new order on its way, and tell the customer. Raises NotPossible."""
    if not order.move(Order.Status.SHIPPED, shipped_at=timezone.now()):
        raise NotPossible(f"{order} is not new any more.")
    mails.shipped(order)


@transaction.atomic
def cancel(order):
    """Cancel a new order; what it took goes back into stock. Raises NotPossible."""
    if not order.move(Order.Status.CANCELLED):
        raise NotPossible(f"{order} is not new any more.")
    give_back(order.lines.select_related("product"))
