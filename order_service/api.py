"""Place, read, list and cancel orders. A customer sees their own orders and no others."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any, ClassVar, Final, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from ninja import Path, Query, Router, Schema
from pydantic import ConfigDict, Field

from order_service import domain
from order_service.models import OrderRow, PriceRow
from order_service.service import service
from order_service.settings import OrderSettings
from schemas.events import OrderLine
from waybill.database import rows
from waybill.deciders.outcomes import Code
from waybill.deciders.unit_of_work import Caused, handle
from waybill.observability.telemetry import new_id
from waybill.outbox.outbox import Recorded, history
from waybill.rest import conditions, http, lists
from waybill.rest.answers import answer
from waybill.rest.auth import caller_of
from waybill.rest.bounds import AtMost
from waybill.rest.collections import Collection, bearer, reads
from waybill.rest.collections.asked import EQUAL, ORDERED
from waybill.rest.conditions import conditional
from waybill.rest.idempotency import idempotent
from waybill.rest.lists import CreatedAfter, CreatedBefore, Cursor, Limit, listed, several
from waybill.rest.openapi.operations import leads_to, raises, requires, sends, tagged
from waybill.rest.problem import Problem, not_valid
from waybill.rest.streams import stream, streams
from waybill.rest.waiting import until_ended, waits
from waybill.runtime.settings import read

router = Router(tags=["orders"])
Status = Literal["PENDING", "RESERVED", "CHARGED", "CONFIRMED", "CANCELLING", "CANCELLED", "IMPORTED"]
Reason = Literal["CUSTOMER_REQUEST", "OUT_OF_STOCK", "PAYMENT_DECLINED", "DEADLINE_PASSED"]
OrderId = Annotated[UUID, Path(description="The order's id.", example="01a1fdef-cb60-72cc-9cdd-70bd5c187fc1")]
LISTED_SECONDS: Final = "2"  # in which a product's listing usually comes through
EXAMPLE: Final = {
    "id": "01a1fdef-cb60-72cc-9cdd-70bd5c187fc1",
    "status": "PENDING",
    "imported_status": None,
    "cancellation_reason": None,
    "version": 1,
    "lines": [{"sku": "LAMP-01", "quantity": 2, "unit_price": 4900}],
    "total": 9800,
    "currency": "EUR",
    "created_at": "2026-11-21T11:48:33.250Z",
    "updated_at": "2026-11-21T11:48:33.250Z",
}
BY_ID: Final = {"order_id": "$response.body#/id"}


class LineIn(http.Body):
    """A product and how many of it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    sku: Annotated[str, Field(max_length=64, pattern=r"^\.*[A-Za-z0-9_-][A-Za-z0-9._-]*$")]
    """Of a product that is for sale; once a line."""
    quantity: Annotated[int, Field(ge=1), AtMost(lambda: read(OrderSettings).order_max_quantity)]
    """Units of the product."""


class OrderIn(http.Body):
    """An order to place. Prices are the shop's; `currency`, where given, must be the one they are in."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [{"lines": [{"sku": "LAMP-01", "quantity": 2}], "payment_method": "tok_ok", "currency": "EUR"}]
        },
    )

    lines: Annotated[list[LineIn], Field(min_length=1), AtMost(lambda: read(OrderSettings).order_max_lines)]
    """What is ordered; each product in one line."""
    # Tokens start with a letter. A card's number in the place of one would be published, and kept for ever.
    payment_method: Annotated[str, Field(max_length=255, pattern=r"^[A-Za-z][\x21-\x7e]*$")]
    """A token of the payment provider, never a card's number."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    """ISO 4217. Where given, the prices must be in it."""


class LineOut(Schema):
    """A line at the price it was placed at."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    sku: str
    quantity: int
    unit_price: int
    """Minor units of the order's currency, such as cents."""


class OrderOut(Schema):
    """An order as it stands."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra={"examples": [EXAMPLE]})

    id: UUID
    status: Status
    """PENDING: waits for stock. RESERVED: waits for the payment. CONFIRMED: paid and sold, final. CANCELLING: stock and
    payment are being given back. CANCELLED: nothing is held or charged, final. IMPORTED: an order of the webshop, which
    carries it to its end."""
    imported_status: str | None
    """Where it stands in the webshop: PENDING, CONFIRMED or CANCELLED; null of an order that was placed here."""
    cancellation_reason: Reason | None
    """Why it is being, or was, cancelled; null of any other order."""
    version: int
    """Rises by one with each event of the order; the ETag, too."""
    lines: list[LineOut]
    total: int
    """Minor units of `currency`, such as cents."""
    currency: str
    """ISO 4217."""
    created_at: datetime
    """When it was placed, here or in the webshop."""
    updated_at: datetime
    """When the last event was recorded."""


class OrdersOut(Schema):
    """A page of orders, and the links to its neighbours."""

    items: list[OrderOut]
    next: str | None
    prev: str | None


class EventOut(Schema):
    """One event of an order's history."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: UUID
    """The `ce_id` of its record, where it is published."""
    type: str
    """The event's name, such as `OrderConfirmed`."""
    version: int
    """Of the order after it."""
    recorded_at: datetime
    data: dict[str, Any]
    """The event's own fields."""


class EventsOut(Schema):
    """An order's history, first event first."""

    items: list[EventOut]


@router.post("/orders", response={202: OrderOut})
@leads_to(read_order=BY_ID, cancel_order=BY_ID, read_history=BY_ID)
@raises(*domain.OrderCode)
@requires("orders")
@sends("ETag", "Location")
@idempotent
def place_order(request: HttpRequest, order: OrderIn) -> HttpResponse:
    """Take an order at today's prices; it is confirmed or cancelled a moment later."""
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
@listed
def list_orders(
    request: HttpRequest,
    ids: Annotated[list[UUID], several("Only these orders.", "id")] = [],  # noqa: B006 - pydantic copies it
    status: Annotated[list[Status], several("Only orders that stand so.")] = [],  # noqa: B006
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
    sort: Annotated[
        Literal["-created_at", "created_at"], Query(description="Newest first, or oldest.")
    ] = "-created_at",
    limit: Limit = 20,
    cursor: Cursor = None,
) -> HttpResponse:
    """List the caller's orders, newest first; staff see everybody's."""
    orders = lists.created(_visible(request), created_after, created_before)
    if ids:
        orders = orders.filter(order_id__in=ids)
    if status:
        orders = orders.filter(status__in=status)
    found = lists.page(request, orders, sort, limit, cursor, then="order_id")
    return found.answer([_view(row) for row in found.rows])


@router.get("/orders/{order_id}", response=OrderOut)
@leads_to(cancel_order=BY_ID, read_history=BY_ID)
@raises(Code.NOT_FOUND)
@tagged
@waits
async def read_order(request: HttpRequest, order_id: OrderId) -> HttpResponse:
    """Read one order: at once, or with `Prefer: wait=N` once it is confirmed or cancelled."""
    row = await until_ended(request, lambda: _find(request, order_id))
    return conditions.unchanged(request, row.version) or answer(200, _view(row), version=row.version)


@router.post("/orders/{order_id}/cancel", response={200: OrderOut, 202: OrderOut})
@leads_to(read_order=BY_ID, read_history=BY_ID)
@raises(Code.NOT_FOUND, Code.TOO_LATE, domain.ImportCode.IMPORTED_ORDER)
@conditional
@sends("Location")
@idempotent
def cancel_order(request: HttpRequest, order_id: OrderId) -> HttpResponse:
    """Cancel an order that is not confirmed yet: 202 while what was held or charged is given back, then 200."""
    _find(request, order_id)
    command = domain.CancelOrder(order_id=order_id)
    return conditions.when(request, partial(_locked_version, order_id), lambda: _changed(request, command))


@router.get("/orders/{order_id}/events", response=EventsOut)
@leads_to(read_order={"order_id": "$request.path.order_id"})
@raises(Code.NOT_FOUND)
def read_history(request: HttpRequest, order_id: OrderId) -> HttpResponse:
    """Read what happened to an order, first event first."""
    _find(request, order_id)
    return answer(200, {"items": [_event(recorded) for recorded in history("order", str(order_id))]})


@router.get("/orders/{order_id}/stream")
@raises(Code.NOT_FOUND)
@streams
async def stream_order(request: HttpRequest, order_id: OrderId) -> HttpResponseBase:
    """Follow an order: its events so far and then each as it happens, until the order is confirmed or cancelled.

    Server-sent events. After a lost connection, send the last event's id as Last-Event-ID; 204: there are no more.
    """
    return await stream(request, lambda: _find(request, order_id), _event)


class Orders(Collection):
    """A customer's own orders; everybody's for staff."""

    filters: ClassVar = {"order_id": ORDERED, "customer_id": EQUAL, "status": EQUAL, "created_at": ORDERED}
    sorts: ClassVar = ("created_at",)

    def rows(self, request: HttpRequest) -> Any:
        """Return the orders that the caller may see."""
        return _visible(request)


orders = Orders(
    OrderRow,
    "orders",
    may=bearer(),
    fields=(
        *("order_id", "status", "customer_id", "cancellation_reason", "lines", "total", "currency"),
        *("imported_status", "created_at", "updated_at"),
    ),
)
router.add_router("/collections", reads(orders, commands=(place_order, cancel_order)))


def _event(recorded: Recorded) -> dict[str, Any]:
    return {
        "id": recorded.event_id,
        "type": type(recorded.event).__name__,
        "version": recorded.version,
        "recorded_at": recorded.recorded_at,
        "data": recorded.event.to_avro(),
    }


def _visible(request: HttpRequest) -> Any:
    caller = caller_of(request)
    orders = OrderRow.objects.exclude(status=domain.Status.ERASED)
    return orders if caller.may("orders:all") else orders.filter(customer_id=caller.subject)


def _find(request: HttpRequest, order_id: UUID) -> OrderRow:
    row = _visible(request).filter(order_id=order_id).first()
    if row is None:
        raise Problem(404, Code.NOT_FOUND, f"there is no order {order_id}")
    return row


def _locked_version(order_id: UUID) -> int | None:
    return next((row.version for row in rows.load(OrderRow, [order_id], lock=True)), None)


def _changed(request: HttpRequest, command: domain.Command, *, new: bool = False) -> HttpResponse:
    (handled,) = handle(service, [Caused(command, http.cause(request))], new=new)
    row = handled.row
    place = {"location": f"/v1/orders/{row.order_id}"}
    if row.has_ended:
        return answer(200, _view(row), version=row.version, **place)
    return answer(202, _view(row), version=row.version, retry_after="1", **place)


def _priced(order: OrderIn) -> tuple[tuple[OrderLine, ...], str]:
    """Return the lines at the price list's prices and their currency; a 422 names the line that has none."""
    prices = {row.sku: row for row in rows.load(PriceRow, {line.sku for line in order.lines}, lock=False)}
    lines: list[OrderLine] = []
    currency = order.currency
    for n, line in enumerate(order.lines):
        price = prices.get(line.sku)
        if price is None:
            detail = f"{line.sku!r} is not known; where it was listed a moment ago, try again"
            raise not_valid(f"lines[{n}].sku", detail, domain.OrderCode.UNKNOWN_SKU, retry_after=LISTED_SECONDS)
        if price.unit_price is None:
            raise not_valid(f"lines[{n}].sku", f"{line.sku!r} is not for sale", domain.OrderCode.NOT_FOR_SALE)
        if line.sku in {earlier.sku for earlier in lines}:
            raise not_valid(f"lines[{n}].sku", f"{line.sku!r} is given twice; put the quantity in one line")
        if currency is not None and price.currency != currency:
            raise _wrong_currency(order, n, price, currency)
        currency = price.currency
        lines.append(OrderLine(sku=line.sku, quantity=line.quantity, unit_price=price.unit_price))
    return tuple(lines), currency or ""


def _wrong_currency(order: OrderIn, n: int, price: PriceRow, currency: str) -> Problem:
    detail = f"{price.sku!r} is sold in {price.currency}, not in {currency}"
    if order.currency is not None:
        return not_valid("currency", detail, domain.OrderCode.CURRENCY_MISMATCH)
    return not_valid(f"lines[{n}].sku", f"{detail} as the lines before", domain.OrderCode.MIXED_CURRENCIES)


def _view(row: OrderRow) -> dict[str, Any]:
    return {
        "id": row.order_id,
        "status": row.status,
        "imported_status": row.imported_status,
        "cancellation_reason": row.cancellation_reason,
        "version": row.version,
        "lines": row.lines,
        "total": row.total,
        "currency": row.currency,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
