"""What follows from the events of bookings; `manage.py consume` calls these."""

from loyalty.events import BookingCancelled, BookingMade, BookingMoved
from loyalty.models import Account
from waybill.inbox import Message, on

POINTS_A_NIGHT = 10


@on(BookingMade)
def grant_points(event: BookingMade, message: Message) -> None:
    """Give points for each night."""
    Account.credit(event.guest_id, POINTS_A_NIGHT * event.nights, _reason(event, message))


@on(BookingMoved)
def adjust_points(event: BookingMoved, message: Message) -> None:
    """Give or take points for the nights that came or went."""
    Account.credit(event.guest_id, POINTS_A_NIGHT * (event.nights - event.nights_before), _reason(event, message))


@on(BookingCancelled)
def take_points_back(event: BookingCancelled, message: Message) -> None:
    """Take the points back."""
    Account.credit(event.guest_id, -POINTS_A_NIGHT * event.nights, _reason(event, message))


def _reason(event: BookingMade | BookingMoved | BookingCancelled, message: Message) -> str:
    return f"{type(event).__name__} {event.booking_id} version {message.version}"
