"""Place, read, list and cancel orders. A customer sees their own orders and no others."""

from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic import Field

from order_service import domain
from order_service.models import OrderRow, PriceRow
from order_service.service import service
from order_service.settings import OrderSettings
from schemas.events import OrderLine
from waybill.database import rows
from waybill.deciders.outcomes import Code
from waybill.deciders.unit_of_work import Caused, handle
from waybill.observability.telemetry import new_id
from waybill.outbox.outbox import history
from waybill.rest import http
from waybill.rest.auth import caller_of
from waybill.rest.bounds import AtMost
from waybill.rest.idempotency import idempotent
from waybill.rest.problem import Problem
from waybill.runtime.settings import read

router = Router(tags=["orders"])
Status = Literal["PENDING", "RESERVED", "CHARGED", "CONFIRMED", "CANCELLING", "CANCELLED"]


class LineIn(http.Body):
    """A product and how many of it."""

    sku: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    quantity: Annotated[int, Field(ge=1), AtMost(lambda: read(OrderSettings).order_max_quantity)]


class OrderIn(http.Body):
    """An order to place. Prices are the shop's; `currency`, where given, must be the one they are in."""

    lines: Annotated[list[LineIn], Field(min_length=1), AtMost(lambda: read(OrderSettings).order_max_lines)]
    # Tokens start with a letter. A card's number in the place of one would be published, and kept for ever.
    payment_method: Annotated[str, Field(max_length=255, pattern=r"^[A-Za-z][\x21-\x7e]*$")]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None


class LineOut(http.Schema):
    """A line at the price it was placed at, in minor units."""

    sku: str
    quantity: int
    unit_price: int


class OrderOut(http.Schema):
    """An order as it stands. Amounts are minor units of `currency`."""

    id: UUID
    status: Status
    cancellation_reason: str | None
    version: int
    lines: list[LineOut]
    total: int
    currency: str
    created_at: str
    updated_at: str


class OrdersOut(http.Schema):
    """A page of orders, newest first, and the link to the next."""

    items: list[OrderOut]
    next: str | None


class EventOut(http.Schema):
    """One event of an order's history."""

    id: UUID
    type: str
    version: int
    recorded_at: str
    data: dict[str, Any]


class EventsOut(http.Schema):
    """An order's history, first event first."""

    items: list[EventOut]


@router.post("/orders", response={202: OrderOut})
@idempotent
def place_order(request: HttpRequest, order: OrderIn) -> HttpResponse:
    """Take an order at today's prices; it is confirmed or cancelled a moment later."""
    caller_of(request).require("orders")
    lines, currency = _priced(order)
    command = domain.PlaceOrder(
        order_id=UUID(new_id()),
        customer_id=caller_of(request).subject,
        lines=lines,
        currency=currency,
        payment_method=order.payment_method,
    )
    return _changed(request, command, new=True)


@router.get("/orders", response=OrdersOut)
def list_orders(
    request: HttpRequest,
    status: Annotated[Status | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query()] = None,
) -> HttpResponse:
    """List the caller's orders, newest first; staff see everybody's."""
    rows = _visible(request)
    if status:
        rows = rows.filter(status=status)
    found, following = http.page(request, rows, "-order_id", limit, cursor)
    return http.answer(200, {"items": [_view(row) for row in found], "next": following})


@router.get("/orders/{order_id}", response=OrderOut)
def read_order(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Read one order; send If-None-Match with its ETag to learn only of changes."""
    row = _find(request, order_id)
    return http.unchanged(request, row.version) or http.answer(200, _view(row), version=row.version)


@router.post("/orders/{order_id}/cancel", response={200: OrderOut, 202: OrderOut})
@idempotent
def cancel_order(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Cancel an order that is not confirmed yet; what was held or charged is given back."""
    _find(request, order_id)
    return _changed(request, domain.CancelOrder(order_id=order_id))


@router.get("/orders/{order_id}/events", response=EventsOut)
def read_history(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Read what happened to an order, first event first."""
    _find(request, order_id)
    items = [
        {
            "id": recorded.event_id,
            "type": type(recorded.event).__name__,
            "version": recorded.version,
            "recorded_at": recorded.recorded_at,
            "data": recorded.event.to_avro(),
        }
        for recorded in history("order", str(order_id))
    ]
    return http.answer(200, {"items": items})


def _visible(request: HttpRequest) -> Any:
    caller = caller_of(request)
    rows = OrderRow.objects.all()
    return rows if caller.may("orders:all") else rows.filter(customer_id=caller.subject)


def _find(request: HttpRequest, order_id: UUID) -> OrderRow:
    row = _visible(request).filter(order_id=order_id).first()
    if row is None:
        raise Problem(404, Code.NOT_FOUND, f"there is no order {order_id}")
    return row


def _changed(request: HttpRequest, command: domain.Command, *, new: bool = False) -> HttpResponse:
    (handled,) = handle(service, [Caused(command, http.cause(request))], new=new)
    row = handled.row
    return http.answer(202, _view(row), version=row.version, location=f"/v1/orders/{row.order_id}", retry_after="1")


def _priced(order: OrderIn) -> tuple[tuple[OrderLine, ...], str]:
    """Return the lines at the price list's prices and their currency; a 422 names the line that has none."""
    prices = {row.sku: row for row in rows.load(PriceRow, {line.sku for line in order.lines}, lock=False)}
    lines: list[OrderLine] = []
    currency = order.currency
    for n, line in enumerate(order.lines):
        price = prices.get(line.sku)
        if price is None or price.unit_price is None:
            raise http.not_valid(f"lines[{n}].sku", f"{line.sku!r} is not for sale", domain.OrderCode.UNKNOWN_SKU)
        if line.sku in {earlier.sku for earlier in lines}:
            raise http.not_valid(f"lines[{n}].sku", f"{line.sku!r} is given twice; put the quantity in one line")
        if currency is not None and price.currency != currency:
            raise _wrong_currency(order, n, price, currency)
        currency = price.currency
        lines.append(OrderLine(sku=line.sku, quantity=line.quantity, unit_price=price.unit_price))
    return tuple(lines), currency or ""


def _wrong_currency(order: OrderIn, n: int, price: PriceRow, currency: str) -> Problem:
    detail = f"{price.sku!r} is sold in {price.currency}, not in {currency}"
    if order.currency is not None:
        return http.not_valid("currency", detail, domain.OrderCode.CURRENCY_MISMATCH)
    return http.not_valid(f"lines[{n}].sku", f"{detail} as the lines before", domain.OrderCode.MIXED_CURRENCIES)


def _view(row: OrderRow) -> dict[str, Any]:
    return {
        "id": row.order_id,
        "status": row.status,
        "cancellation_reason": row.cancellation_reason,
        "version": row.version,
        "lines": row.lines,
        "total": row.total,
        "currency": row.currency,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
