"""List, price, restock and delist products. Reading takes any token; changing takes the scope `inventory`."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router
from pydantic import AfterValidator, Field

from inventory_service import domain
from inventory_service.models import ProductRow
from inventory_service.service import service
from inventory_service.settings import InventorySettings
from waybill.deciders.unit_of_work import Caused, handle
from waybill.rest import http
from waybill.rest.auth import caller_of
from waybill.rest.bounds import AtMost
from waybill.rest.idempotency import idempotent
from waybill.rest.problem import Problem
from waybill.runtime.settings import read

router = Router(tags=["products"])


def _sold_in(currency: str) -> str:
    currencies = read(InventorySettings).currencies
    if currency not in currencies:
        raise ValueError(f"{currency!r} is not sold in; use one of {', '.join(currencies)}")
    return currency


Sku = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Name = Annotated[str, Field(max_length=200, pattern=http.ONE_LINE)]
UnitPrice = Annotated[int, Field(ge=0), AtMost(lambda: read(InventorySettings).product_max_price)]
Currency = Annotated[str, AfterValidator(_sold_in)]
Change = Annotated[int, AtMost(lambda: read(InventorySettings).product_max_stock, either_sign=True)]


class ListingIn(http.Body):
    """A product's name and its price, in minor units of the currency."""

    name: Name
    unit_price: UnitPrice
    currency: Currency


class ProductIn(ListingIn):
    """A product to list."""

    sku: Sku


class StockIn(http.Body):
    """Goods received, or a count set right (`quantity` may then be negative)."""

    kind: Literal["received", "corrected"]
    quantity: Change
    reason: Annotated[str, Field(max_length=200, pattern=http.ONE_LINE, description="Name nobody: it is published.")]


class ProductOut(http.Schema):
    """A product for sale. `reserved` of the units `on_hand` are held for orders."""

    sku: str
    name: str
    unit_price: int
    currency: str
    on_hand: int
    reserved: int


class ProductsOut(http.Schema):
    """A page of products by SKU, and the link to the next."""

    items: list[ProductOut]
    next: str | None


@router.get("/products", response=ProductsOut)
def list_products(
    request: HttpRequest,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query()] = None,
) -> HttpResponse:
    """List the products that are for sale, by SKU."""
    rows = ProductRow.objects.filter(status=domain.ProductStatus.LISTED)
    found, following = http.page(request, rows, "sku", limit, cursor)
    return http.answer(200, {"items": [_view(row) for row in found], "next": following})


@router.get("/products/{sku}", response=ProductOut)
def read_product(request: HttpRequest, sku: Annotated[Sku, Path()]) -> HttpResponse:
    """Read one product."""
    row = ProductRow.objects.filter(sku=sku, status=domain.ProductStatus.LISTED).first()
    if row is None:
        raise Problem(404, domain.InventoryCode.NOT_LISTED, f"there is no product {sku}")
    return http.unchanged(request, _tag(row)) or http.answer(200, _view(row), version=_tag(row))


@router.post("/products", response={201: ProductOut})
@idempotent
def list_product(request: HttpRequest, product: ProductIn) -> HttpResponse:
    """Offer a product for sale, with no stock yet."""
    command = domain.ListProduct(
        sku=product.sku, name=product.name, unit_price=product.unit_price, currency=product.currency
    )
    return _changed(request, command, status=201)


@router.put("/products/{sku}", response={200: ProductOut})
def revise_product(request: HttpRequest, sku: Annotated[Sku, Path()], listing: ListingIn) -> HttpResponse:
    """Give a product this name and price; lists it where it is not for sale."""
    command = domain.ReviseProduct(sku=sku, name=listing.name, unit_price=listing.unit_price, currency=listing.currency)
    return _changed(request, command, status=200)


@router.delete("/products/{sku}", response={204: None})
def delist_product(request: HttpRequest, sku: Annotated[Sku, Path()]) -> HttpResponse:
    """Take a product out of sale; what is held for orders stays held."""
    _changed(request, domain.DelistProduct(sku=sku), status=200)
    return http.nothing()


@router.post("/products/{sku}/stock", response={200: ProductOut})
@idempotent
def change_stock(request: HttpRequest, sku: Annotated[Sku, Path()], stock: StockIn) -> HttpResponse:
    """Receive goods or set a count right; never below what is held for orders."""
    limit = read(InventorySettings).product_max_stock
    if stock.kind == "corrected":
        command = domain.CorrectStock(sku=sku, change=stock.quantity, reason=stock.reason, limit=limit)
    elif stock.quantity > 0:
        command = domain.ReceiveStock(sku=sku, quantity=stock.quantity, reason=stock.reason, limit=limit)
    else:
        raise http.not_valid("quantity", "goods received are 1 unit or more; `corrected` takes units away")
    return _changed(request, command, status=200)


def _changed(request: HttpRequest, command: domain.Command, *, status: int) -> HttpResponse:
    caller_of(request).require("inventory")
    (handled,) = handle(service, [Caused(command, http.cause(request))])
    row = handled.row
    return http.answer(status, _view(row), version=_tag(row), location=f"/v1/products/{row.sku}")


def _tag(row: ProductRow) -> str:
    """Return what changes whenever the view does: reservations move the stock without an event of the product."""
    return f"{row.version}.{row.on_hand}.{row.reserved}"


def _view(row: ProductRow) -> dict[str, Any]:
    return {
        "sku": row.sku,
        "name": row.name,
        "unit_price": row.unit_price,
        "currency": row.currency,
        "on_hand": row.on_hand,
        "reserved": row.reserved,
    }
