"""Addresses of accounts."""

from django.contrib.auth import views as auth
from django.urls import path

from shop.customers import views

urlpatterns = [
    path("", views.Profile.as_view(), name="profile"),
    path("sign-up/", views.SignUp.as_view(), name="sign-up"),
    path("login/", auth.LoginView.as_view(), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path("addresses/new/", views.AddAddress.as_view(), name="add-address"),
    path("addresses/<int:pk>/", views.ChangeAddress.as_view(), name="change-address"),
    path("addresses/<int:pk>/delete/", views.DeleteAddress.as_view(), name="delete-address"),
]
