"""Customers and addresses by the collection contract."""

from access import shop_only
from django.urls import path

from customers.models import Address, Customer
from waybill.rest.collections import Collection, serve

urlpatterns = [
    path(
        "v1/",
        serve(
            Collection(Customer, "customers", may=shop_only),
            Collection(Address, "addresses", may=shop_only),
        ),
    ),
]
