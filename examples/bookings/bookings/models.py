"""Rooms, and who stays in them when."""

from django.conf import settings
from django.db import models
from django.urls import reverse


class Room(models.Model):
    """A room that guests can book."""

    name = models.CharField(max_length=100, unique=True)
    beds = models.PositiveSmallIntegerField(default=2)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name

    def is_taken(self, arrives, leaves, but=None):
        """Tell whether another booking has one of these nights."""
        others = self.bookings.exclude(pk=but.pk) if but else self.bookings
        return others.filter(cancelled_at=None, arrives__lt=leaves, leaves__gt=arrives).exists()


class Booking(models.Model):
    """Some nights of a guest in a room."""

    room = models.ForeignKey(Room, on_delete=models.PROTECT, related_name="bookings")
    guest = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="bookings")
    arrives = models.DateField()
    leaves = models.DateField()
    guests = models.PositiveSmallIntegerField(default=1)
    made_at = models.DateTimeField(auto_now_add=True)
    cancelled_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["arrives", "pk"]
        constraints = [
            models.CheckConstraint(condition=models.Q(leaves__gt=models.F("arrives")), name="booking_leaves_later"),
        ]

    def __str__(self):
        return f"{self.room}, {self.arrives} to {self.leaves}"

    def get_absolute_url(self):
        """Return the address of the booking's page."""
        return reverse("booking", args=[self.pk])

    @property
    def nights(self):
        """Count the nights."""
        return (self.leaves - self.arrives).days
