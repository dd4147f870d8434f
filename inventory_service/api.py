"""List, price, restock and delist products. Reading takes any token; changing takes the scope `inventory`."""

from functools import partial
from typing import Annotated, Any, ClassVar, Final, Literal

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router, Schema
from pydantic import AfterValidator, ConfigDict, Field

from inventory_service import domain
from inventory_service.models import ProductRow, ReservationRow
from inventory_service.service import service
from inventory_service.settings import InventorySettings
from schemas.events import ProductListed
from waybill.database import rows
from waybill.deciders.outcomes import Code
from waybill.deciders.unit_of_work import Caused, Handled, handle
from waybill.rest import conditions, http, lists
from waybill.rest.answers import answer, nothing
from waybill.rest.auth import caller_of
from waybill.rest.bounds import AtMost
from waybill.rest.collections import Collection, bearer, reads
from waybill.rest.collections.asked import EQUAL, ORDERED
from waybill.rest.conditions import conditional
from waybill.rest.idempotency import idempotent
from waybill.rest.lists import Cursor, Limit, listed, several
from waybill.rest.openapi.operations import leads_to, raises, requires, sends, tagged
from waybill.rest.problem import Problem, not_valid
from waybill.runtime.settings import read

router = Router(tags=["products"])


def _sold_in(currency: str) -> str:
    currencies = read(InventorySettings).currencies
    if currency not in currencies:
        raise ValueError(f"{currency!r} is not sold in; use one of {', '.join(currencies)}")
    return currency


# Not dots alone: clients and proxies take `.` and `..` in a path for folders, and nobody could reach the product.
Sku = Annotated[str, Field(max_length=64, pattern=r"^\.*[A-Za-z0-9_-][A-Za-z0-9._-]*$")]
Name = Annotated[str, Field(max_length=200, pattern=http.ONE_LINE)]
UnitPrice = Annotated[int, Field(ge=0), AtMost(lambda: read(InventorySettings).product_max_price)]
Currency = Annotated[str, AfterValidator(_sold_in)]
ThisSku = Annotated[Sku, Path(description="The product's SKU.", example="LAMP-01")]
BY_SKU: Final = {"sku": "$response.body#/sku"}
LISTING: Final = {"name": "Desk lamp", "unit_price": 4900, "currency": "EUR"}
SHOWN: Final = Q(status=domain.ProductStatus.LISTED) | Q(status=domain.ProductStatus.IMPORTED, for_sale=True)
Change = Annotated[int, AtMost(lambda: read(InventorySettings).product_max_stock, either_sign=True)]


class ListingIn(http.Body):
    """A product's name and its price."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra={"examples": [LISTING]})

    name: Name
    """One line, for people."""
    unit_price: UnitPrice
    """Minor units of `currency`, such as cents."""
    currency: Currency
    """ISO 4217, one that the shop sells in."""


class ProductIn(ListingIn):
    """A product to list."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"sku": "LAMP-01", **LISTING}]})

    sku: Sku


class StockIn(http.Body):
    """Goods received, or a count set right (`quantity` may then be negative)."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"kind": "received", "quantity": 100, "reason": "delivery"}]},
    )

    kind: Literal["received", "corrected"]
    """`received` adds what came, `corrected` what a count found too many or too few."""
    quantity: Change
    """Units to add to `on_hand`."""
    reason: Annotated[str, Field(max_length=200, pattern=http.ONE_LINE, description="Name nobody: it is published.")]


class ProductOut(Schema):
    """A product for sale, here or in the webshop."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [{"sku": "LAMP-01", **LISTING, "on_hand": 100, "reserved": 2, "imported": False}]
        },
    )

    sku: str
    name: str
    unit_price: int
    """Minor units of `currency`, such as cents."""
    currency: str
    """ISO 4217."""
    on_hand: int
    """Units in stock, those held for orders among them."""
    reserved: int
    """Units of `on_hand` that are held for orders."""
    imported: bool
    """Whether it is the webshop's: it is sold there, and cannot be ordered here."""


class ProductsOut(Schema):
    """A page of products by SKU, and the links to its neighbours."""

    items: list[ProductOut]
    next: str | None
    prev: str | None


@router.get("/products", response=ProductsOut)
@listed
def list_products(
    request: HttpRequest,
    sku: Annotated[list[Sku], several("Only these products.")] = [],  # noqa: B006 - pydantic copies it
    sort: Annotated[Literal["sku", "-sku"], Query(description="By SKU, rising or falling.")] = "sku",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> HttpResponse:
    """List the products that are for sale, by SKU."""
    products = ProductRow.objects.filter(SHOWN)
    if sku:
        products = products.filter(sku__in=sku)
    found = lists.page(request, products, sort, limit, cursor)
    return found.answer([_view(row) for row in found.rows])


@router.get("/products/{sku}", response=ProductOut)
@leads_to(revise_product=BY_SKU, delist_product=BY_SKU, change_stock=BY_SKU)
@raises(domain.InventoryCode.NOT_LISTED)
@tagged
def read_product(request: HttpRequest, sku: ThisSku) -> HttpResponse:
    """Read one product; send If-None-Match with its ETag to learn only of changes."""
    row = ProductRow.objects.filter(SHOWN, sku=sku).first()
    if row is None:
        raise Problem(404, domain.InventoryCode.NOT_LISTED, f"there is no product {sku}")
    return conditions.unchanged(request, _tag(row)) or answer(200, _view(row), version=_tag(row))


@router.post("/products", response={201: ProductOut})
@leads_to(read_product=BY_SKU, revise_product=BY_SKU, delist_product=BY_SKU, change_stock=BY_SKU)
@raises(Code.ALREADY_EXISTS, domain.InventoryCode.IMPORTED_PRODUCT)
@requires("inventory")
@sends("ETag", "Location")
@idempotent
def list_product(request: HttpRequest, product: ProductIn) -> HttpResponse:
    """Offer a product for sale, with no stock yet."""
    command = domain.ListProduct(
        sku=product.sku, name=product.name, unit_price=product.unit_price, currency=product.currency
    )
    return _as_it_is(_handled(request, command), 201)


@router.put("/products/{sku}", response={200: ProductOut, 201: ProductOut})
@leads_to(read_product=BY_SKU, delist_product=BY_SKU, change_stock=BY_SKU)
@raises(domain.InventoryCode.IMPORTED_PRODUCT)
@requires("inventory")
@conditional
@sends("Location")
def revise_product(request: HttpRequest, sku: ThisSku, listing: ListingIn) -> HttpResponse:
    """Give a product this name and price; lists it where it is not for sale (201)."""
    command = domain.ReviseProduct(sku=sku, name=listing.name, unit_price=listing.unit_price, currency=listing.currency)
    handled = _handled(request, command)
    listed_now = any(isinstance(event, ProductListed) for event in handled.events)
    return _as_it_is(handled, 201 if listed_now else 200)


@router.delete("/products/{sku}", response={204: None})
@raises(domain.InventoryCode.NOT_LISTED, domain.InventoryCode.IMPORTED_PRODUCT)
@requires("inventory")
@conditional
def delist_product(request: HttpRequest, sku: ThisSku) -> HttpResponse:
    """Take a product out of sale; what is held for orders stays held."""
    _handled(request, domain.DelistProduct(sku=sku))
    return nothing()


@router.post("/products/{sku}/stock", response={200: ProductOut})
@leads_to(read_product=BY_SKU)
@raises(
    domain.InventoryCode.NOT_LISTED,
    domain.InventoryCode.STOCK_TOO_LOW,
    domain.InventoryCode.STOCK_TOO_LARGE,
    domain.InventoryCode.IMPORTED_PRODUCT,
)
@requires("inventory")
@conditional
@sends("Location")
@idempotent
def change_stock(request: HttpRequest, sku: ThisSku, stock: StockIn) -> HttpResponse:
    """Receive goods or set a count right; never below what is held for orders."""
    limit = read(InventorySettings).product_max_stock
    if stock.kind == "corrected":
        command = domain.CorrectStock(sku=sku, change=stock.quantity, reason=stock.reason, limit=limit)
    elif stock.quantity > 0:
        command = domain.ReceiveStock(sku=sku, quantity=stock.quantity, reason=stock.reason, limit=limit)
    else:
        raise not_valid("quantity", "goods received are 1 unit or more; `corrected` takes units away")
    return _as_it_is(_handled(request, command), 200)


@router.post("/products/{sku}/own", response={200: ProductOut})
@leads_to(read_product=BY_SKU)
@raises(domain.InventoryCode.NOT_LISTED)
@requires("inventory")
@conditional
@sends("Location")
@idempotent
def own_product(request: HttpRequest, sku: ThisSku) -> HttpResponse:
    """Own an imported product from here on, with the price and stock that it has; the webshop must sell it no more."""
    return _as_it_is(_handled(request, domain.OwnProduct(sku=sku)), 200)


class Products(Collection):
    """The products that are for sale; for staff those that no longer are, too."""

    filters: ClassVar = {"sku": ORDERED}
    sorts: ClassVar = ()

    def rows(self, request: HttpRequest) -> Any:
        """Return the products that the caller may see."""
        products = ProductRow.objects.exclude(status=domain.ProductStatus.ERASED)
        return products if caller_of(request).may("inventory") else products.filter(SHOWN)


class Reservations(Collection):
    """What is held, or was, for each order."""

    filters: ClassVar = {"order_id": ORDERED, "status": EQUAL, "created_at": ORDERED}
    sorts: ClassVar = ("created_at",)


products = Products(
    ProductRow,
    "products",
    may=bearer(),
    fields=(
        *("sku", "status", "name", "unit_price", "currency", "on_hand", "reserved"),
        *("created_at", "updated_at"),
    ),
)
reservations = Reservations(
    ReservationRow,
    "reservations",
    may=bearer("inventory"),
    fields=("order_id", "status", "lines", "created_at", "updated_at"),
)
router.add_router(
    "/collections",
    reads(products, commands=(list_product, revise_product, delist_product, change_stock, own_product)),
)
router.add_router("/collections", reads(reservations))


def _handled(request: HttpRequest, command: domain.ProductCommands) -> Handled:
    """Handle the command, where the request's conditions hold."""

    def handled() -> Handled:
        (one,) = handle(service, [Caused(command, http.cause(request))])
        return one

    return conditions.when(request, partial(_locked_tag, command.sku), handled)


def _locked_tag(sku: str) -> str | None:
    shown = (domain.ProductStatus.LISTED, domain.ProductStatus.IMPORTED)
    found = (row for row in rows.load(ProductRow, [sku], lock=True) if row.status in shown)
    return next((_tag(row) for row in found), None)


def _as_it_is(handled: Handled, status: int) -> HttpResponse:
    row = handled.row
    return answer(status, _view(row), version=_tag(row), location=f"/v1/products/{row.sku}")


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
        "imported": row.status == domain.ProductStatus.IMPORTED,
    }
