"""Addresses of every page of the shop."""

from django.contrib import admin
from django.urls import include, path

from shop.requests import health

urlpatterns = [
    path("", include("shop.catalogue.urls")),
    path("cart/", include("shop.cart.urls")),
    path("orders/", include("shop.orders.urls")),
    path("account/", include("shop.customers.urls")),
    path("", include("shop.reviews.urls")),
    path("staff/", include("shop.staff.urls")),
    path("admin/", admin.site.urls),
    path("healthz", health),
]
