"""What the inventory makes of the order's events, and of the webshop's products."""

from collections.abc import Iterable

from inventory_service.domain import CommitStock, EraseImport, ImportProduct, ReleaseStock, ReserveStock
from schemas.events import (
    OrderCancellationStarted,
    OrderConfirmed,
    OrderLine,
    OrderPlaced,
    ProductErased,
    ProductImported,
    ProductRecorded,
    StockLine,
)
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


@on(ProductRecorded)
def product_recorded(event: ProductRecorded, version: int) -> ImportProduct:
    """Show the webshop's product as it stands there; nothing can be held of it."""
    stands = ProductImported(
        sku=event.sku,
        name=event.name,
        unit_price=event.unit_price,
        currency=event.currency,
        on_hand=event.stock,
        for_sale=event.on_sale,
        provenance=event.provenance,
        source_version=version,
    )
    return ImportProduct(sku=event.sku, stands=stands)


@on(ProductErased)
def product_erased(event: ProductErased, version: int) -> EraseImport:
    """Forget what the webshop has deleted."""
    return EraseImport(sku=event.sku, source_version=version)


def _units(lines: Iterable[OrderLine]) -> tuple[StockLine, ...]:
    return tuple(StockLine(sku=line.sku, quantity=line.quantity) for line in lines)
