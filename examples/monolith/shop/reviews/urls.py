"""Addresses of reviews."""

from django.urls import path

from shop.reviews import views

urlpatterns = [
    path("products/<int:pk>/review/", views.SaveReview.as_view(), name="review"),
    path("products/<int:pk>/reviews/", views.ReviewList.as_view(), name="reviews"),
]
