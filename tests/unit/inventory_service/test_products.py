from dataclasses import replace
from uuid import UUID

from inventory_service.domain import (
    CorrectStock,
    DelistProduct,
    EraseImport,
    ImportProduct,
    ListProduct,
    OwnProduct,
    Product,
    ReceiveStock,
    ReserveStock,
    ReviseProduct,
    Stock,
    decide,
    evolve,
)
from schemas.events import (
    ProductDelisted,
    ProductImported,
    ProductImportErased,
    ProductListed,
    ProductRenamed,
    ProductRepriced,
    Shortage,
    StockCorrected,
    StockLine,
    StockReceived,
    StockRejected,
    StockReserved,
)
from waybill.deciders.outcomes import Ignored
from waybill.testing import Scenario

LISTED = ProductListed(sku="LAMP", name="Lamp", unit_price=1999, currency="EUR")
RECEIVED = StockReceived(sku="LAMP", quantity=5, reason="delivery")
DELISTED = ProductDelisted(sku="LAMP")
unknown = Scenario(decide, evolve, Stock(products={"LAMP": Product(sku="LAMP")}))
product = unknown.given(LISTED, RECEIVED)
IMPORTED = ProductImported(
    sku="LAMP",
    name="Lamp",
    unit_price=1999,
    currency="EUR",
    on_hand=3,
    for_sale=True,
    provenance="snapshot",
    source_version=1,
)
imported = unknown.given(IMPORTED)
ORDER = UUID(int=1)


def taken_in(stands):
    return ImportProduct(sku="LAMP", stands=stands)


def revise(name="Lamp", unit_price=1999, currency="EUR"):
    return ReviseProduct(sku="LAMP", name=name, unit_price=unit_price, currency=currency)


def correct(change):
    return CorrectStock(sku="LAMP", change=change, reason="count", limit=100)


def test_a_product_is_listed_once():
    command = ListProduct(sku="LAMP", name="Lamp", unit_price=1999, currency="EUR")
    unknown.when(command).then(LISTED)
    product.when(command).then("already_exists")
    product.given(DELISTED).when(command).then(LISTED)


def test_a_revision_says_only_what_changed():
    product.when(revise()).then(Ignored)
    product.when(revise(unit_price=2499)).then(ProductRepriced(sku="LAMP", unit_price=2499, currency="EUR"))
    product.when(revise(name="Desk lamp", currency="USD")).then(
        ProductRenamed(sku="LAMP", name="Desk lamp"), ProductRepriced(sku="LAMP", unit_price=1999, currency="USD")
    )
    unknown.when(revise()).then(LISTED)


def test_a_correction_never_goes_below_what_is_held():
    held = product.given(StockReserved(order_id=UUID(int=1), lines=(StockLine(sku="LAMP", quantity=3),)))
    held.when(correct(-2)).then(StockCorrected(sku="LAMP", change=-2, reason="count"))
    held.when(correct(-3)).then("stock_too_low")


def test_more_than_the_limit_is_not_kept():
    product.when(correct(96)).then("stock_too_large")
    product.when(ReceiveStock(sku="LAMP", quantity=96, reason="delivery", limit=100)).then("stock_too_large")


def test_what_was_never_listed_cannot_be_changed():
    for command in (DelistProduct(sku="LAMP"), correct(1)):
        unknown.when(command).then("not_listed")


def test_delisting_twice_is_delisting_once():
    product.when(DelistProduct(sku="LAMP")).then(DELISTED)
    product.given(DELISTED).when(DelistProduct(sku="LAMP")).then(Ignored)


def test_a_product_of_the_webshop_is_shown_as_it_stands_there():
    changed = replace(IMPORTED, on_hand=2, source_version=2)
    unknown.when(taken_in(IMPORTED)).then(IMPORTED)
    imported.when(taken_in(changed)).then(changed)
    imported.given(changed).when(taken_in(IMPORTED)).then(Ignored)
    imported.when(EraseImport(sku="LAMP", source_version=2)).then(ProductImportErased(sku="LAMP", source_version=2))


def test_nothing_can_be_held_of_a_product_of_the_webshop():
    lines = (StockLine(sku="LAMP", quantity=1),)
    short = StockRejected(
        order_id=ORDER, shortages=(Shortage(sku="LAMP", requested=1, available=0, on_hand=IMPORTED.on_hand),)
    )
    imported.when(ReserveStock(order_id=ORDER, lines=lines)).then(short)


def test_staff_change_nothing_of_it_before_it_is_owned_here():
    received = ReceiveStock(sku="LAMP", quantity=1, reason="delivery", limit=100)
    for command in (revise(), correct(1), received, DelistProduct(sku="LAMP")):
        imported.when(command).then("imported_product")


def test_an_owned_product_is_listed_with_the_stock_it_had_and_the_webshop_moves_it_no_more():
    imported.when(OwnProduct(sku="LAMP")).then(LISTED)
    owned = imported.given(LISTED)
    owned.when(taken_in(replace(IMPORTED, on_hand=0, source_version=9))).then(Ignored)
    owned.when(EraseImport(sku="LAMP", source_version=9)).then(Ignored)
    lines = (StockLine(sku="LAMP", quantity=IMPORTED.on_hand),)
    owned.when(ReserveStock(order_id=ORDER, lines=lines)).then(StockReserved(order_id=ORDER, lines=lines))


def test_what_the_webshop_does_not_sell_is_owned_delisted():
    withheld = unknown.given(replace(IMPORTED, for_sale=False))
    withheld.when(OwnProduct(sku="LAMP")).then(LISTED, DELISTED)
