"""Orders and their lines by the collection contract."""

from access import shop_only
from django.urls import path

from orders.models import Order, OrderLine
from waybill.rest.collections import Collection, serve

urlpatterns = [
    path(
        "v1/",
        serve(
            Collection(Order, "orders", may=shop_only),
            Collection(OrderLine, "lines", may=shop_only),
        ),
    ),
]
