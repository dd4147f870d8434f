"""Addresses of the project."""

from django.contrib import admin
from django.urls import path

from loyalty import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("guests/<int:guest>/", views.AccountPage.as_view(), name="account"),
]
