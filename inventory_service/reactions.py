"""What the inventory makes of the order's events."""

from collections.abc import Iterable

from inventory_service.domain import CommitStock, ReleaseStock, ReserveStock
from schemas.events import OrderCancellationStarted, OrderConfirmed, OrderLine, OrderPlaced, StockLine
from waybill.deciders.service import on


@on(OrderPlaced)
def order_placed(event: OrderPlaced) -> ReserveStock:
    """Hold every line of the order, or none."""
    return ReserveStock(order_id=event.order_id, lines=_units(event.lines))


@on(OrderConfirmed)
def order_confirmed(event: OrderConfirmed) -> CommitStock:
    """Let the goods leave the stock."""
    return CommitStock(order_id=event.order_id, lines=_units(event.lines))


@on(OrderCancellationStarted)
def order_cancellation_started(event: OrderCancellationStarted) -> ReleaseStock:
    """Give back what is held, also where nothing is: a late copy of the order then holds nothing."""
    return ReleaseStock(order_id=event.order_id, lines=_units(event.lines))


def _units(lines: Iterable[OrderLine]) -> tuple[StockLine, ...]:
    return tuple(StockLine(sku=line.sku, quantity=line.quantity) for line in lines)
