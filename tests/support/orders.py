"""Commands and events of an order, for tests that care about what carries them."""

from uuid import UUID, uuid4

from order_service.domain import PlaceOrder
from schemas.events import OrderImported, OrderLine, OrderPlaced
from waybill.deciders.unit_of_work import Caused
from waybill.observability.telemetry import Cause, new_id

LINES = (OrderLine(sku="LAMP", quantity=2, unit_price=1999),)


def cause() -> Cause:
    """A cause of its own."""
    return Cause(correlation_id=new_id())


def place(order_id: UUID | None = None) -> Caused:
    """Place one order."""
    return Caused(
        PlaceOrder(
            order_id=order_id or uuid4(), customer_id="ann", lines=LINES, currency="EUR", payment_method="tok_ok"
        ),
        cause(),
    )


def placed(order_id: UUID | None = None, *, sku: str = "LAMP", quantity: int = 2) -> OrderPlaced:
    """The event of one order."""
    return OrderPlaced(
        order_id=order_id or uuid4(),
        customer_id="ann",
        lines=(OrderLine(sku=sku, quantity=quantity, unit_price=1999),),
        total=1999 * quantity,
        currency="EUR",
        payment_method="tok_ok",
    )


def imported(
    order_id: UUID | None = None, *, status: str = "PENDING", total: int = 3998, version: int = 1
) -> OrderImported:
    """The event of one order of the webshop."""
    return OrderImported(
        order_id=order_id or uuid4(),
        customer_id="ann",
        status=status,
        lines=LINES,
        total=total,
        currency="EUR",
        placed_at="2025-03-01T10:00:00.000000Z",
        provenance="snapshot",
        source_version=version,
    )
