"""Addresses of the catalogue."""

from django.urls import path

from shop.catalogue import views

urlpatterns = [
    path("", views.ProductList.as_view(), name="products"),
    path("categories/<slug:slug>/", views.ProductList.as_view(), name="category"),
    path("products/<int:pk>/", views.ProductDetail.as_view(), name="product"),
]
