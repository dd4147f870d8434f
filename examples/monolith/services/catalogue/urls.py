"""Categories and products by the collection contract."""

from access import shop_only
from django.urls import path

from catalogue.models import Category, Product
from waybill.rest.collections import Collection, serve

urlpatterns = [
    path(
        "v1/",
        serve(
            Collection(Category, "categories", may=shop_only),
            Collection(Product, "products", may=shop_only),
        ),
    ),
]
