from uuid import UUID

from inventory_service.domain import (
    CorrectStock,
    DelistProduct,
    ListProduct,
    Product,
    ReceiveStock,
    ReviseProduct,
    Stock,
    decide,
    evolve,
)
from schemas.events import (
    ProductDelisted,
    ProductListed,
    ProductRenamed,
    ProductRepriced,
    StockCorrected,
    StockLine,
    StockReceived,
    StockReserved,
)
from waybill.deciders.outcomes import Ignored
from waybill.testing import Scenario

LISTED = ProductListed(sku="LAMP", name="Lamp", unit_price=1999, currency="EUR")
RECEIVED = StockReceived(sku="LAMP", quantity=5, reason="delivery")
DELISTED = ProductDelisted(sku="LAMP")
unknown = Scenario(decide, evolve, Stock(products={"LAMP": Product(sku="LAMP")}))
product = unknown.given(LISTED, RECEIVED)


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
