"""Addresses of the guests' pages."""

from django.urls import path

from bookings import views

urlpatterns = [
    path("", views.Rooms.as_view(), name="rooms"),
    path("bookings/", views.Bookings.as_view(), name="bookings"),
    path("bookings/new/", views.MakeBooking.as_view(), name="make-booking"),
    path("bookings/<int:pk>/", views.BookingPage.as_view(), name="booking"),
    path("bookings/<int:pk>/move/", views.MoveBooking.as_view(), name="move-booking"),
    path("bookings/<int:pk>/cancel/", views.CancelBooking.as_view(), name="cancel-booking"),
]
