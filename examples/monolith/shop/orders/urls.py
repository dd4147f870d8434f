"""Addresses of orders."""

from django.urls import path

from shop.orders import views

urlpatterns = [
    path("", views.OrderList.as_view(), name="orders"),
    path("checkout/", views.Checkout.as_view(), name="checkout"),
    path("<int:pk>/", views.OrderDetail.as_view(), name="order"),
    path("<int:pk>/cancel/", views.CancelOrder.as_view(), name="cancel-order"),
]
