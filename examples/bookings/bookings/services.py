"""What can be done with a booking; each in one transaction."""

from django.db import transaction
from django.utils import timezone

from bookings.events import BookingCancelled, BookingMade, BookingMoved
from bookings.models import Booking, Room
from waybill.outbox import append


class NotPossible(Exception):
    """The booking cannot be made or changed like that; the message is for the guest."""


def make_booking(*, room, guest, arrives, leaves, guests):
    """Book a room. Raises NotPossible where it is taken or too small."""
    with transaction.atomic():
        room = Room.objects.select_for_update().get(pk=room.pk)
        _check(room, arrives, leaves, guests)
        booking = Booking.objects.create(room=room, guest=guest, arrives=arrives, leaves=leaves, guests=guests)
        made = BookingMade(booking_id=booking.pk, guest_id=guest.pk, arrives=str(arrives), nights=booking.nights)
        append(made, aggregate=booking)
    return booking


def move_booking(booking, *, arrives, leaves):
    """Give a booking other nights. Raises NotPossible where the room is taken then, or the booking is cancelled."""
    with transaction.atomic():
        room = Room.objects.select_for_update().get(pk=booking.room_id)
        booking.refresh_from_db(from_queryset=Booking.objects.select_for_update())
        if booking.cancelled_at:
            raise NotPossible("The booking is cancelled.")
        _check(room, arrives, leaves, booking.guests, but=booking)
        before = {"booking_id": booking.pk, "guest_id": booking.guest_id, "nights_before": booking.nights}
        booking.arrives, booking.leaves = arrives, leaves
        booking.save(update_fields=["arrives", "leaves"])
        append(BookingMoved(**before, arrives=str(arrives), nights=booking.nights), aggregate=booking)
    return booking


def cancel_booking(booking):
    """Cancel a booking. Raises NotPossible where it is cancelled already."""
    with transaction.atomic():
        now = timezone.now()
        if not Booking.objects.filter(pk=booking.pk, cancelled_at=None).update(cancelled_at=now):
            raise NotPossible("The booking is cancelled already.")
        booking.refresh_from_db()
        cancelled = BookingCancelled(booking_id=booking.pk, guest_id=booking.guest_id, nights=booking.nights)
        append(cancelled, aggregate=booking)
    return booking


def _check(room, arrives, leaves, guests, but=None):
    if leaves <= arrives:
        raise NotPossible("A booking has one night at least.")
    if guests > room.beds:
        raise NotPossible(f"{room} has {room.beds} beds.")
    if room.is_taken(arrives, leaves, but):
        raise NotPossible(f"{room} is taken in some of these nights.")
