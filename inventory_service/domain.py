"""A reservation's and a product's life.

A reservation is RESERVED with every line of its order, or REJECTED with what is short; never in part.
A confirmed order makes it COMMITTED: the goods leave the stock. A cancelled one makes it RELEASED, also where nothing
was held, so that a late copy of the order holds nothing.
A product is LISTED, renamed, repriced, received, corrected, and DELISTED; it can be listed again.
A product of the webshop is IMPORTED as it stands there, with each of its states, until it is ERASED there or an
operator has it owned here: only then can something be held of it, and nothing that the webshop tells moves it any more.
Its `on_hand` and `reserved` follow from its own events and from those of the reservations that name it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from uuid import UUID

from schemas.events import (
    ProductDelisted,
    ProductImported,
    ProductImportErased,
    ProductListed,
    ProductRenamed,
    ProductRepriced,
    Shortage,
    StockCommitted,
    StockCorrected,
    StockLine,
    StockReceived,
    StockRejected,
    StockReleased,
    StockReserved,
)
from waybill.deciders.outcomes import Code, Decision, ErrorCode, Explained, Ignored, NotFound, Refused


class ReservationStatus(StrEnum):
    """Where a reservation stands; the order's events move it on."""

    NONE = "NONE"
    """The order has not been heard of."""
    RESERVED = "RESERVED"
    """Held, until the order is confirmed or cancelled."""
    REJECTED = "REJECTED"
    """Something was short; nothing is held. Final, unless a cancellation comes."""
    COMMITTED = "COMMITTED"
    """Sold: the goods have left. Final."""
    RELEASED = "RELEASED"
    """Given back, or never held. Final."""


class ProductStatus(StrEnum):
    """Whether a product is for sale; staff decide."""

    NONE = "NONE"
    """Never listed."""
    LISTED = "LISTED"
    """For sale, until staff delist it."""
    DELISTED = "DELISTED"
    """No longer for sale; stock that is held stays held. Staff may list it again."""
    IMPORTED = "IMPORTED"
    """The webshop's, shown as it stands there; nothing can be held of it. Staff own it, once the webshop does not."""
    ERASED = "ERASED"
    """Was imported, and is deleted in the webshop; nobody sees it here."""


class InventoryCode(ErrorCode):
    """Name an error that only products have."""

    NOT_LISTED = Explained(
        name="not_listed",
        status=404,
        meaning="No product with this SKU is for sale.",
        remedy="Check the SKU, or list the product.",
    )
    STOCK_TOO_LOW = Explained(
        name="stock_too_low",
        status=409,
        meaning="The stock would fall below what is held for orders.",
        remedy="Read the product: `reserved` units have to stay on hand.",
    )
    STOCK_TOO_LARGE = Explained(
        name="stock_too_large",
        status=409,
        meaning="The stock would be larger than is kept of one product.",
        remedy="Read the product; receive fewer units.",
    )
    IMPORTED_PRODUCT = Explained(
        name="imported_product",
        status=409,
        meaning="The product is the webshop's; here it is only shown.",
        remedy="Change it in the webshop. Once the webshop sells it no more: POST to its `own`.",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """What is held for one order."""

    order_id: UUID
    status: ReservationStatus = ReservationStatus.NONE
    lines: tuple[StockLine, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """One product and its stock, in units; its price in minor units."""

    sku: str
    status: ProductStatus = ProductStatus.NONE
    name: str = ""
    unit_price: int = 0
    currency: str = ""
    on_hand: int = 0
    reserved: int = 0
    for_sale: bool = True
    """Of an imported one: whether the webshop sells it."""
    source_version: int = 0
    """Version of the webshop's event that it was last taken from."""

    @property
    def free(self) -> int:
        """Return the units that no order holds."""
        return self.on_hand - self.reserved


@dataclass(frozen=True, kw_only=True, slots=True)
class Stock:
    """What a decision is made on: one reservation and the products of its lines, or one product."""

    reservation: Reservation | None = None
    products: Mapping[str, Product] = field(default_factory=dict[str, Product])

    def shortages(self, lines: Sequence[StockLine]) -> tuple[Shortage, ...]:
        """Return the lines that cannot be held, with what there is."""
        free = {line.sku: self.products[line.sku].free if self._for_sale(line.sku) else 0 for line in lines}
        return tuple(
            Shortage(
                sku=line.sku,
                requested=line.quantity,
                available=max(0, free[line.sku]),
                on_hand=self.products[line.sku].on_hand,
            )
            for line in lines
            if line.quantity > free[line.sku]
        )

    def _for_sale(self, sku: str) -> bool:
        return self.products[sku].status is ProductStatus.LISTED


@dataclass(frozen=True, kw_only=True, slots=True)
class ReservationCommand:
    """Ask something of one order's reservation and the products of its lines."""

    order_id: UUID
    lines: tuple[StockLine, ...]

    def rows(self) -> Mapping[str, Sequence[UUID | str]]:
        """Name the reservation, then the products."""
        return {"reservation": (self.order_id,), "product": [line.sku for line in self.lines]}


@dataclass(frozen=True, kw_only=True, slots=True)
class ReserveStock(ReservationCommand):
    """Hold every line, or none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitStock(ReservationCommand):
    """Let the goods leave the stock."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseStock(ReservationCommand):
    """Give back what is held, and hold nothing later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductCommand:
    """Ask something of one product."""

    sku: str

    def rows(self) -> Mapping[str, Sequence[str]]:
        """Name the product."""
        return {"product": (self.sku,)}


@dataclass(frozen=True, kw_only=True, slots=True)
class ListProduct(ProductCommand):
    """Offer a product for sale."""

    name: str
    unit_price: int
    currency: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviseProduct(ProductCommand):
    """Give a product this name and price, listing it where it is not for sale."""

    name: str
    unit_price: int
    currency: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DelistProduct(ProductCommand):
    """Take a product out of sale."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiveStock(ProductCommand):
    """Add goods that came in."""

    quantity: int
    reason: str
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CorrectStock(ProductCommand):
    """Set right what was counted wrong, up or down."""

    change: int
    reason: str
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportProduct(ProductCommand):
    """Take in a product of the webshop as it stands there."""

    stands: ProductImported


@dataclass(frozen=True, kw_only=True, slots=True)
class EraseImport(ProductCommand):
    """Forget a product that was deleted in the webshop."""

    source_version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnProduct(ProductCommand):
    """Own what the webshop owned until now, with its price and stock."""


ReservationCommands = ReserveStock | CommitStock | ReleaseStock
StaffCommands = ListProduct | ReviseProduct | DelistProduct | ReceiveStock | CorrectStock
ImportCommands = ImportProduct | EraseImport | OwnProduct
ProductCommands = StaffCommands | ImportCommands
Command = ReservationCommands | ProductCommands
ReservationEvent = StockReserved | StockRejected | StockReleased | StockCommitted
ImportEvent = ProductImported | ProductImportErased
ProductEvent = (
    ProductListed | ProductRenamed | ProductRepriced | ProductDelisted | StockReceived | StockCorrected | ImportEvent
)


OLDER = Ignored("a later state was taken in before")


def decide(command: Command, stock: Stock) -> Decision:
    """Return what follows from the command, for every pair of command and status."""
    match command:
        case ReserveStock() | CommitStock() | ReleaseStock():
            return _decide_reservation(command, stock, stock.reservation or Reservation(order_id=command.order_id))
        case ListProduct() | ReviseProduct() | DelistProduct() | ReceiveStock() | CorrectStock():
            return _decide_product(command, stock.products[command.sku])
        case ImportProduct() | EraseImport() | OwnProduct():
            return _decide_import(command, stock.products[command.sku])


def _decide_reservation(command: ReservationCommands, stock: Stock, held: Reservation) -> Decision:
    match command, held.status:
        case ReserveStock(order_id=order_id, lines=lines), ReservationStatus.NONE:
            if short := stock.shortages(lines):
                return [StockRejected(order_id=order_id, shortages=short)]
            return [StockReserved(order_id=order_id, lines=lines)]
        case ReserveStock(), ReservationStatus.RELEASED:
            return Ignored("the cancellation overtook the order")
        case ReserveStock(), ReservationStatus.RESERVED | ReservationStatus.REJECTED | ReservationStatus.COMMITTED:
            return Ignored("already decided")

        case ((CommitStock() | ReleaseStock()), ReservationStatus.RESERVED) if unnamed := _unnamed(held, stock):
            return Refused(Code.CONFLICT, f"reservation {held.order_id} also holds {', '.join(unnamed)}")

        case CommitStock(order_id=order_id), ReservationStatus.RESERVED:
            return [StockCommitted(order_id=order_id, lines=held.lines)]
        case CommitStock(), ReservationStatus.COMMITTED:
            return Ignored("already committed")
        case CommitStock(), ReservationStatus.NONE | ReservationStatus.REJECTED | ReservationStatus.RELEASED:
            return Refused(Code.CONFLICT, f"reservation {held.order_id} is {held.status}: nothing is held to commit")

        case ReleaseStock(order_id=order_id), ReservationStatus.RESERVED:
            return [StockReleased(order_id=order_id, lines=held.lines)]
        # Answered though nothing was held: the order waits for the answer, and a late OrderPlaced then holds nothing.
        case ReleaseStock(order_id=order_id), ReservationStatus.NONE | ReservationStatus.REJECTED:
            return [StockReleased(order_id=order_id, lines=())]
        case ReleaseStock(), ReservationStatus.RELEASED:
            return Ignored("already released")
        case ReleaseStock(), ReservationStatus.COMMITTED:
            return Refused(Code.CONFLICT, f"reservation {held.order_id} is COMMITTED: its goods have left")


def _unnamed(held: Reservation, stock: Stock) -> list[str]:
    """Return the products that are held and that the command did not name: their rows are not there to be moved."""
    return sorted({line.sku for line in held.lines} - stock.products.keys())


def _decide_import(command: ImportCommands, product: Product) -> Decision:
    match command, product.status:
        case ImportProduct(stands=stands), ProductStatus.NONE | ProductStatus.IMPORTED | ProductStatus.ERASED:
            return [stands] if stands.source_version > product.source_version else OLDER
        case EraseImport(sku=sku, source_version=version), ProductStatus.IMPORTED:
            later = version > product.source_version
            return [ProductImportErased(sku=sku, source_version=version)] if later else OLDER
        case EraseImport(), ProductStatus.NONE | ProductStatus.ERASED:
            return Ignored("there is nothing to forget")
        case ((ImportProduct() | EraseImport()), ProductStatus.LISTED | ProductStatus.DELISTED):
            return Ignored("the product is owned here")

        case OwnProduct(), ProductStatus.IMPORTED:
            return _owned(product)
        case OwnProduct(), ProductStatus.LISTED | ProductStatus.DELISTED:
            return Ignored("the product is owned here")
        case OwnProduct(), ProductStatus.NONE | ProductStatus.ERASED:
            return NotFound(InventoryCode.NOT_LISTED, f"there is no product {product.sku}")


def _owned(product: Product) -> Decision:
    listed = ProductListed(sku=product.sku, name=product.name, unit_price=product.unit_price, currency=product.currency)
    return [listed] if product.for_sale else [listed, ProductDelisted(sku=product.sku)]


def _decide_product(command: StaffCommands, product: Product) -> Decision:
    match command, product.status:
        case (
            (ListProduct() | ReviseProduct() | DelistProduct() | ReceiveStock() | CorrectStock()),
            ProductStatus.IMPORTED,
        ):
            return Refused(InventoryCode.IMPORTED_PRODUCT, f"product {product.sku} is the webshop's")
        # PUT creates as well as changes, so a revision lists what is not listed.
        case ((ListProduct() | ReviseProduct()), ProductStatus.NONE | ProductStatus.DELISTED | ProductStatus.ERASED):
            return [
                ProductListed(
                    sku=command.sku, name=command.name, unit_price=command.unit_price, currency=command.currency
                )
            ]
        case ListProduct(), ProductStatus.LISTED:
            return Refused(Code.ALREADY_EXISTS, f"product {product.sku} is listed already; PUT changes it", "sku")
        case ReviseProduct(), ProductStatus.LISTED:
            return _revised(command, product)

        case DelistProduct(), ProductStatus.LISTED:
            return [ProductDelisted(sku=command.sku)]
        case DelistProduct(), ProductStatus.DELISTED:
            return Ignored("already delisted")

        case ReceiveStock(), ProductStatus.LISTED | ProductStatus.DELISTED:
            return _received(command, product)
        case CorrectStock(), ProductStatus.LISTED | ProductStatus.DELISTED:
            return _corrected(command, product)
        case ((DelistProduct() | ReceiveStock() | CorrectStock()), ProductStatus.NONE | ProductStatus.ERASED):
            return NotFound(InventoryCode.NOT_LISTED, f"there is no product {product.sku}")


def evolve(stock: Stock, event: ReservationEvent | ProductEvent) -> Stock:
    """Return the stock after the event."""
    match event:
        case StockReserved(order_id=order_id, lines=lines):
            reservation = Reservation(order_id=order_id, status=ReservationStatus.RESERVED, lines=lines)
            return _moved(stock, reservation, on_hand=0, reserved=1)
        case StockRejected(order_id=order_id):
            return _moved(stock, Reservation(order_id=order_id, status=ReservationStatus.REJECTED), 0, 0)
        case StockReleased(order_id=order_id, lines=lines):
            reservation = Reservation(order_id=order_id, status=ReservationStatus.RELEASED, lines=lines)
            return _moved(stock, reservation, on_hand=0, reserved=-1)
        case StockCommitted(order_id=order_id, lines=lines):
            reservation = Reservation(order_id=order_id, status=ReservationStatus.COMMITTED, lines=lines)
            return _moved(stock, reservation, on_hand=-1, reserved=-1)
        case (
            ProductListed()
            | ProductRenamed()
            | ProductRepriced()
            | ProductDelisted()
            | StockReceived()
            | StockCorrected()
            | ProductImported()
            | ProductImportErased()
        ):
            product = _evolve_product(stock.products[event.sku], event)
            return replace(stock, products={**stock.products, event.sku: product})


def _evolve_product(product: Product, event: ProductEvent) -> Product:
    match event:
        # Stock stays: a product may be delisted with goods on hand and be listed again.
        case ProductListed(name=name, unit_price=unit_price, currency=currency):
            return replace(product, status=ProductStatus.LISTED, name=name, unit_price=unit_price, currency=currency)
        case ProductRenamed(name=name):
            return replace(product, name=name)
        case ProductRepriced(unit_price=unit_price, currency=currency):
            return replace(product, unit_price=unit_price, currency=currency)
        case ProductDelisted():
            return replace(product, status=ProductStatus.DELISTED)
        case StockReceived(quantity=quantity):
            return replace(product, on_hand=product.on_hand + quantity)
        case StockCorrected(change=change):
            return replace(product, on_hand=product.on_hand + change)
        case ProductImported():
            return Product(
                sku=event.sku,
                status=ProductStatus.IMPORTED,
                name=event.name,
                unit_price=event.unit_price,
                currency=event.currency,
                on_hand=event.on_hand,
                for_sale=event.for_sale,
                source_version=event.source_version,
            )
        case ProductImportErased(source_version=version):
            return Product(sku=event.sku, status=ProductStatus.ERASED, source_version=version)


def _moved(stock: Stock, reservation: Reservation, on_hand: int, reserved: int) -> Stock:
    """Move the products of the reservation's lines, by the quantity times these signs."""
    products = dict(stock.products)
    for line in reservation.lines:
        product = products[line.sku]
        products[line.sku] = replace(
            product,
            on_hand=product.on_hand + on_hand * line.quantity,
            reserved=product.reserved + reserved * line.quantity,
        )
    return Stock(reservation=reservation, products=products)


def _revised(command: ReviseProduct, product: Product) -> Decision:
    events: list[ProductEvent] = []
    if command.name != product.name:
        events.append(ProductRenamed(sku=product.sku, name=command.name))
    if (command.unit_price, command.currency) != (product.unit_price, product.currency):
        events.append(ProductRepriced(sku=product.sku, unit_price=command.unit_price, currency=command.currency))
    return events or Ignored("nothing changes")


def _received(command: ReceiveStock, product: Product) -> Decision:
    if product.on_hand + command.quantity > command.limit:
        return Refused(
            InventoryCode.STOCK_TOO_LARGE, f"more than {command.limit} units on hand are not kept", "quantity"
        )
    return [StockReceived(sku=product.sku, quantity=command.quantity, reason=command.reason)]


def _corrected(command: CorrectStock, product: Product) -> Decision:
    after = product.on_hand + command.change
    # What is held is promised to orders. The database refuses it too (products_never_oversold).
    if after < product.reserved:
        detail = f"{after} units would be left and {product.reserved} are held for orders"
        return Refused(InventoryCode.STOCK_TOO_LOW, detail, "quantity")
    if after > command.limit:
        return Refused(
            InventoryCode.STOCK_TOO_LARGE, f"more than {command.limit} units on hand are not kept", "quantity"
        )
    return [StockCorrected(sku=product.sku, change=command.change, reason=command.reason)]
