"""Addresses of the cart."""

from django.urls import path

from shop.cart import views

urlpatterns = [
    path("", views.CartPage.as_view(), name="cart"),
    path("<int:pk>/add/", views.AddToCart.as_view(), name="add-to-cart"),
    path("<int:pk>/quantity/", views.SetQuantity.as_view(), name="set-quantity"),
]
