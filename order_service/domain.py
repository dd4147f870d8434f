"""An order's life.

PENDING until its stock is held, RESERVED until its payment is charged, then CHARGED and CONFIRMED in one step.
Out of stock ends a PENDING order as CANCELLED at once: there is nothing to give back.
A client, a declined payment or the deadline turns a PENDING or RESERVED order to CANCELLING; once the stock and the
payment both need nothing more, it is CANCELLED.
An order of the webshop is IMPORTED as it stands there, with each of its states, until it is ERASED there. It ends where
it was placed: no client, deadline or service moves it here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from schemas.events import (
    OrderCancellationStarted,
    OrderCancelled,
    OrderCharged,
    OrderConfirmed,
    OrderImported,
    OrderImportErased,
    OrderLine,
    OrderPaymentClosed,
    OrderPlaced,
    OrderReserved,
    OrderStockClosed,
)
from waybill.deciders.outcomes import Code, Decision, ErrorCode, Explained, Ignored, NotFound, NotValid, Refused
from waybill.deciders.service import Copy


class Status(StrEnum):
    """Where an order stands; each value says who moves it on."""

    NONE = "NONE"
    """Not placed. A client places it."""
    PENDING = "PENDING"
    """Waits for the inventory, which holds the stock or says that it is short."""
    RESERVED = "RESERVED"
    """Waits for the payment. For long: is the provider reachable?"""
    CHARGED = "CHARGED"
    """Only inside the transaction that also confirms."""
    CONFIRMED = "CONFIRMED"
    """Paid and sold. Final."""
    CANCELLING = "CANCELLING"
    """Waits for stock and payment to be given back. For long: look at the payment, a refund may need attention."""
    CANCELLED = "CANCELLED"
    """Nothing is held and nothing charged. Final."""
    IMPORTED = "IMPORTED"
    """Shown as it stands in the webshop (`imported_status`), which moves it on; nothing is held or charged here."""
    ERASED = "ERASED"
    """Was imported, and is deleted in the webshop; nobody sees it here."""


class Reason(StrEnum):
    """Why an order was cancelled."""

    CUSTOMER_REQUEST = "CUSTOMER_REQUEST"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    PAYMENT_DECLINED = "PAYMENT_DECLINED"
    DEADLINE_PASSED = "DEADLINE_PASSED"


class OrderCode(ErrorCode):
    """Name an error that only orders have."""

    UNKNOWN_SKU = Explained(
        name="unknown_sku",
        status=422,
        meaning="No such product is known: there is none, or it was listed a moment ago.",
        remedy="Check the SKU; where the product is new, send the same request again after `Retry-After` seconds.",
        retryable=True,
    )
    NOT_FOR_SALE = Explained(
        name="not_for_sale",
        status=422,
        meaning="The product has been taken out of sale.",
        remedy="Order without it.",
    )
    MIXED_CURRENCIES = Explained(
        name="mixed_currencies",
        status=422,
        meaning="The lines' products are sold in different currencies.",
        remedy="Place an order for each currency.",
    )
    CURRENCY_MISMATCH = Explained(
        name="currency_mismatch",
        status=422,
        meaning="`currency` is not the one that the products are sold in.",
        remedy="Leave `currency` out, or send the one that `detail` names.",
    )
    AMOUNT_TOO_LARGE = Explained(
        name="amount_too_large",
        status=422,
        meaning="The order's total is larger than an amount can be.",
        remedy="Split the order.",
    )


class ImportCode(ErrorCode):
    """Name an error that only imported orders have."""

    IMPORTED_ORDER = Explained(
        name="imported_order",
        status=409,
        meaning="The order was placed in the webshop, which carries it to its end; here it is only shown.",
        remedy="Turn to the webshop. What changes there is shown here a moment later.",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What is known of one order. Amounts are minor units."""

    order_id: UUID
    status: Status = Status.NONE
    customer_id: str = ""
    lines: tuple[OrderLine, ...] = ()
    total: int = 0
    currency: str = ""
    payment_method: str = ""
    cancellation_reason: str | None = None
    stock_closed: bool = False
    payment_closed: bool = False
    imported_status: str | None = None
    """Where it stands in the webshop."""
    source_version: int = 0
    """Version of the webshop's event that it was last taken from."""
    placed_at: str | None = None
    """When it was placed in the webshop; known with an event only, the row has it as its creation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Price(Copy):
    """What one product costs, as the inventory says; no price where it is not for sale."""

    sku: str
    unit_price: int | None
    currency: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderCommand:
    """Ask something of one order."""

    order_id: UUID

    def rows(self) -> Mapping[str, Sequence[UUID]]:
        """Name the order."""
        return {"order": (self.order_id,)}


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaceOrder(OrderCommand):
    """Take an order at these prices."""

    customer_id: str
    lines: tuple[OrderLine, ...]
    currency: str
    payment_method: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelOrder(OrderCommand):
    """Cancel for the client, who is told when it is too late."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpireOrder(OrderCommand):
    """Cancel what is still open at its deadline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkReserved(OrderCommand):
    """Note that the stock is held."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkOutOfStock(OrderCommand):
    """Note that the stock is short."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkCharged(OrderCommand):
    """Note that the payment is charged."""

    charge_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkDeclined(OrderCommand):
    """Note that the payment was declined."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkStockReleased(OrderCommand):
    """Note that no stock is held."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkPaymentReturned(OrderCommand):
    """Note that nothing is charged: the payment was voided or refunded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportOrder(OrderCommand):
    """Take in an order of the webshop as it stands there."""

    stands: OrderImported


@dataclass(frozen=True, kw_only=True, slots=True)
class EraseImport(OrderCommand):
    """Forget an order that was deleted in the webshop."""

    source_version: int


Command = (
    PlaceOrder
    | CancelOrder
    | ExpireOrder
    | MarkReserved
    | MarkOutOfStock
    | MarkCharged
    | MarkDeclined
    | MarkStockReleased
    | MarkPaymentReturned
    | ImportOrder
    | EraseImport
)

OrderEvent = (
    OrderPlaced
    | OrderReserved
    | OrderCharged
    | OrderConfirmed
    | OrderCancellationStarted
    | OrderStockClosed
    | OrderPaymentClosed
    | OrderCancelled
    | OrderImported
    | OrderImportErased
)

UNDER_CANCELLATION = Ignored("the order is being cancelled: what was done is given back by its own compensation")
ENDED = Ignored("the order has ended")
OLDER = Ignored("a later state was taken in before")
ELSEWHERE = Ignored("the webshop carries the order to its end")


def decide(command: Command, order: Order) -> Decision:
    """Return what follows from the command, for every pair of command and status."""
    match command, order.status:
        case PlaceOrder(), Status.NONE:
            return _placed(command)
        case (
            PlaceOrder(),
            Status.PENDING
            | Status.RESERVED
            | Status.CHARGED
            | Status.CONFIRMED
            | Status.CANCELLING
            | Status.CANCELLED
            | Status.IMPORTED
            | Status.ERASED,
        ):
            return Refused(Code.ALREADY_EXISTS, f"order {order.order_id} is already placed")

        case ImportOrder(stands=stands), Status.NONE | Status.IMPORTED | Status.ERASED:
            return [stands] if stands.source_version > order.source_version else OLDER
        case EraseImport(order_id=order_id, source_version=version), Status.IMPORTED:
            later = version > order.source_version
            return [OrderImportErased(order_id=order_id, source_version=version)] if later else OLDER
        case EraseImport(), Status.NONE | Status.ERASED:
            return Ignored("there is nothing to forget")
        case (
            (ImportOrder() | EraseImport()),
            Status.PENDING | Status.RESERVED | Status.CHARGED | Status.CONFIRMED | Status.CANCELLING | Status.CANCELLED,
        ):
            return Refused(
                Code.CONFLICT, f"order {order.order_id} was placed here: the webshop has no order of that id"
            )
        # What keeps imports from being held, charged, cancelled or timed out here: no event follows.
        case CancelOrder(), Status.IMPORTED:
            return Refused(
                ImportCode.IMPORTED_ORDER, f"order {order.order_id} was placed in the webshop: cancel it there"
            )
        case (
            (
                ExpireOrder()
                | MarkReserved()
                | MarkOutOfStock()
                | MarkCharged()
                | MarkDeclined()
                | MarkStockReleased()
                | MarkPaymentReturned()
            ),
            Status.IMPORTED | Status.ERASED,
        ):
            return ELSEWHERE
        case CancelOrder(), Status.ERASED:
            return NotFound(Code.NOT_FOUND, "there is no such order")

        case CancelOrder(), Status.PENDING | Status.RESERVED:
            return [_cancellation(order, Reason.CUSTOMER_REQUEST)]
        # The goods may have left: CommitStock follows from OrderConfirmed.
        case CancelOrder(), Status.CHARGED | Status.CONFIRMED:
            return Refused(Code.TOO_LATE, f"order {order.order_id} is {order.status} and can no longer be cancelled")
        case CancelOrder(), Status.CANCELLING | Status.CANCELLED:
            return Ignored("already cancelled")

        case ExpireOrder(), Status.PENDING | Status.RESERVED:
            return [_cancellation(order, Reason.DEADLINE_PASSED)]
        case ExpireOrder(), Status.CHARGED | Status.CONFIRMED | Status.CANCELLING | Status.CANCELLED:
            return ENDED

        case MarkReserved(), Status.PENDING:
            return [
                OrderReserved(
                    order_id=order.order_id,
                    customer_id=order.customer_id,
                    total=order.total,
                    currency=order.currency,
                    payment_method=order.payment_method,
                )
            ]
        case MarkReserved(), Status.RESERVED | Status.CHARGED | Status.CONFIRMED:
            return Ignored("already reserved")
        case MarkReserved(), Status.CANCELLING | Status.CANCELLED:
            return UNDER_CANCELLATION

        # Nothing is held and no payment was asked for, so there is nothing to compensate.
        case MarkOutOfStock(), Status.PENDING:
            return [_cancelled(order, Reason.OUT_OF_STOCK)]
        case MarkOutOfStock(), Status.CANCELLING:
            return Ignored("the release that was asked for will be answered too")
        case MarkOutOfStock(), Status.CANCELLED:
            return ENDED
        case MarkOutOfStock(), Status.RESERVED | Status.CHARGED | Status.CONFIRMED:
            return Refused(Code.CONFLICT, f"order {order.order_id} is {order.status}: its stock was held before")

        # Both in one decision: between charge and confirmation nothing is awaited, so nothing can come in between.
        case MarkCharged(charge_id=charge_id), Status.RESERVED:
            return [
                OrderCharged(order_id=order.order_id, charge_id=charge_id, total=order.total, currency=order.currency),
                OrderConfirmed(
                    order_id=order.order_id,
                    customer_id=order.customer_id,
                    lines=order.lines,
                    total=order.total,
                    currency=order.currency,
                ),
            ]
        case MarkCharged(), Status.CANCELLING | Status.CANCELLED:
            return UNDER_CANCELLATION
        case MarkCharged(), Status.CHARGED | Status.CONFIRMED:
            return Ignored("already charged")
        case MarkCharged(), Status.PENDING:
            return Refused(Code.CONFLICT, f"order {order.order_id} is PENDING: no payment was asked for")

        case MarkDeclined(), Status.RESERVED:
            return [_cancellation(order, Reason.PAYMENT_DECLINED)]
        case ((MarkDeclined() | MarkPaymentReturned()), Status.CANCELLING):
            return _payment_closed(order)
        case MarkDeclined(), Status.CANCELLED:
            return ENDED
        case MarkDeclined(), Status.PENDING | Status.CHARGED | Status.CONFIRMED:
            return Refused(Code.CONFLICT, f"order {order.order_id} is {order.status}: a decline cannot be")

        case MarkPaymentReturned(), Status.CANCELLED:
            return ENDED
        case MarkPaymentReturned(), Status.PENDING | Status.RESERVED | Status.CHARGED | Status.CONFIRMED:
            return Refused(Code.CONFLICT, f"order {order.order_id} is {order.status}: nobody asked for the money back")

        case MarkStockReleased(), Status.CANCELLING:
            return _stock_closed(order)
        case MarkStockReleased(), Status.CANCELLED:
            return ENDED
        case MarkStockReleased(), Status.PENDING | Status.RESERVED | Status.CHARGED | Status.CONFIRMED:
            return Refused(Code.CONFLICT, f"order {order.order_id} is {order.status}: nobody asked for a release")

        case (
            (
                CancelOrder()
                | ExpireOrder()
                | MarkReserved()
                | MarkOutOfStock()
                | MarkCharged()
                | MarkDeclined()
                | MarkStockReleased()
                | MarkPaymentReturned()
            ),
            Status.NONE,
        ):
            return NotFound(Code.NOT_FOUND, "there is no such order")


def evolve(order: Order, event: OrderEvent) -> Order:
    """Return the order after the event."""
    match event:
        case OrderPlaced():
            return replace(
                order,
                status=Status.PENDING,
                customer_id=event.customer_id,
                lines=event.lines,
                total=event.total,
                currency=event.currency,
                payment_method=event.payment_method,
            )
        case OrderReserved():
            return replace(order, status=Status.RESERVED)
        case OrderCharged():
            return replace(order, status=Status.CHARGED)
        case OrderConfirmed():
            return replace(order, status=Status.CONFIRMED)
        case OrderCancellationStarted(reason=reason):
            # A declined payment has nothing to give back: only the stock is awaited.
            declined = reason == Reason.PAYMENT_DECLINED
            return replace(order, status=Status.CANCELLING, cancellation_reason=reason, payment_closed=declined)
        case OrderStockClosed():
            return replace(order, stock_closed=True)
        case OrderPaymentClosed():
            return replace(order, payment_closed=True)
        case OrderCancelled(reason=reason):
            return replace(
                order, status=Status.CANCELLED, cancellation_reason=reason, stock_closed=True, payment_closed=True
            )
        case OrderImported():
            return Order(
                order_id=order.order_id,
                status=Status.IMPORTED,
                customer_id=event.customer_id,
                lines=event.lines,
                total=event.total,
                currency=event.currency,
                imported_status=event.status,
                source_version=event.source_version,
                placed_at=event.placed_at,
            )
        case OrderImportErased(source_version=version):
            return Order(order_id=order.order_id, status=Status.ERASED, source_version=version)


def _placed(command: PlaceOrder) -> Decision:
    total = sum(line.quantity * line.unit_price for line in command.lines)
    # PostgreSQL's bigint, and Avro's long.
    if total >= 2**63:
        detail = f"the total of {total} minor units is more than can be charged"
        return NotValid(OrderCode.AMOUNT_TOO_LARGE, detail, "lines")
    return [
        OrderPlaced(
            order_id=command.order_id,
            customer_id=command.customer_id,
            lines=command.lines,
            total=total,
            currency=command.currency,
            payment_method=command.payment_method,
        )
    ]


def _cancellation(order: Order, reason: Reason) -> OrderCancellationStarted:
    return OrderCancellationStarted(
        order_id=order.order_id, customer_id=order.customer_id, lines=order.lines, reason=reason
    )


def _cancelled(order: Order, reason: str | None) -> OrderCancelled:
    return OrderCancelled(order_id=order.order_id, customer_id=order.customer_id, reason=reason or "")


def _stock_closed(order: Order) -> Decision:
    if order.stock_closed:
        return Ignored("the stock is known to be released")
    if order.payment_closed:
        return [_cancelled(order, order.cancellation_reason)]
    return [OrderStockClosed(order_id=order.order_id)]


def _payment_closed(order: Order) -> Decision:
    if order.payment_closed:
        return Ignored("the payment is known to be returned")
    if order.stock_closed:
        return [_cancelled(order, order.cancellation_reason)]
    return [OrderPaymentClosed(order_id=order.order_id)]
