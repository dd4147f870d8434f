"""A product with stock in this process's database."""

from inventory_service.domain import ListProduct, ReceiveStock
from inventory_service.service import service as inventory
from tests.support.orders import cause
from waybill.deciders.unit_of_work import Caused, handle


def stocked(sku, units):
    handle(
        inventory,
        [
            Caused(ListProduct(sku=sku, name=sku, unit_price=1, currency="EUR"), cause()),
            Caused(ReceiveStock(sku=sku, quantity=units, reason="delivery", limit=10**9), cause()),
        ],
    )
