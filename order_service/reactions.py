"""What the order service makes of other services' events."""

from order_service.domain import (
    EraseImport,
    ImportOrder,
    MarkCharged,
    MarkDeclined,
    MarkOutOfStock,
    MarkPaymentReturned,
    MarkReserved,
    MarkStockReleased,
    Price,
)
from schemas.events import (
    OrderErased,
    OrderImported,
    OrderLine,
    OrderRecorded,
    PaymentCharged,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
    ProductDelisted,
    ProductListed,
    ProductRepriced,
    StockRejected,
    StockReleased,
    StockReserved,
)
from waybill.deciders.service import on


@on(StockReserved)
def stock_reserved(event: StockReserved) -> MarkReserved:
    """The stock is held: ask for the payment."""
    return MarkReserved(order_id=event.order_id)


@on(StockRejected)
def stock_rejected(event: StockRejected) -> MarkOutOfStock:
    """The stock is short: cancel, there is nothing to give back."""
    return MarkOutOfStock(order_id=event.order_id)


@on(StockReleased)
def stock_released(event: StockReleased) -> MarkStockReleased:
    """Nothing is held any more: half of a cancellation."""
    return MarkStockReleased(order_id=event.order_id)


@on(PaymentCharged)
def payment_charged(event: PaymentCharged) -> MarkCharged:
    """The payment is charged: confirm."""
    return MarkCharged(order_id=event.order_id, charge_id=event.charge_id)


@on(PaymentDeclined)
def payment_declined(event: PaymentDeclined) -> MarkDeclined:
    """The payment is declined: give the stock back."""
    return MarkDeclined(order_id=event.order_id)


@on(PaymentVoided)
def payment_voided(event: PaymentVoided) -> MarkPaymentReturned:
    """Nothing will be charged: half of a cancellation."""
    return MarkPaymentReturned(order_id=event.order_id)


@on(PaymentRefunded)
def payment_refunded(event: PaymentRefunded) -> MarkPaymentReturned:
    """The charge is paid back: half of a cancellation."""
    return MarkPaymentReturned(order_id=event.order_id)


@on(ProductListed)
def product_listed(event: ProductListed) -> Price:
    """Keep the price that orders are placed at."""
    return Price(sku=event.sku, unit_price=event.unit_price, currency=event.currency)


@on(ProductRepriced)
def product_repriced(event: ProductRepriced) -> Price:
    """Keep the new price; orders that are placed keep theirs."""
    return Price(sku=event.sku, unit_price=event.unit_price, currency=event.currency)


@on(ProductDelisted)
def product_delisted(event: ProductDelisted) -> Price:
    """Take no more orders for it."""
    return Price(sku=event.sku, unit_price=None, currency=None)


@on(OrderRecorded)
def order_recorded(event: OrderRecorded, version: int) -> ImportOrder:
    """Show the webshop's order as it stands there; nothing is held, charged or mailed for it."""
    stands = OrderImported(
        order_id=event.order_id,
        customer_id=event.customer_id,
        status=event.status,
        lines=tuple(OrderLine(sku=one.sku, quantity=one.quantity, unit_price=one.unit_price) for one in event.lines),
        total=event.total,
        currency=event.currency,
        placed_at=event.placed_at,
        shipped_at=event.shipped_at,
        provenance=event.provenance,
        source_version=version,
    )
    return ImportOrder(order_id=event.order_id, stands=stands)


@on(OrderErased)
def order_erased(event: OrderErased, version: int) -> EraseImport:
    """Forget what the webshop has deleted."""
    return EraseImport(order_id=event.order_id, source_version=version)
