"""Play some guests: they book, move and cancel at random, for a demonstration or a load."""

import random
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.utils import timezone

from bookings import services
from bookings.models import Booking, Room


class Command(BaseCommand):
    """`manage.py guests`."""

    help = __doc__

    def add_arguments(self, parser):
        """Take how many actions."""
        parser.add_argument("--actions", type=int, default=100)
        parser.add_argument("--seed", type=int, default=None)

    def handle(self, *, actions, seed, **_):
        """Act; an action that is not possible counts too."""
        chance = random.Random(seed)  # noqa: S311 - no secret
        rooms = [Room.objects.get_or_create(name=f"Room {number}")[0] for number in range(1, 6)]
        guests = [get_user_model().objects.get_or_create(username=f"guest{number}")[0] for number in range(1, 8)]
        for _each in range(actions):
            arrives = timezone.localdate() + timedelta(days=chance.randrange(3650))
            nights = {"arrives": arrives, "leaves": arrives + timedelta(days=chance.randint(1, 7))}
            booking = Booking.objects.filter(cancelled_at=None).order_by("?").first()
            try:
                match chance.choice(["make", "make", "move", "cancel"]) if booking else "make":
                    case "make":
                        services.make_booking(
                            room=chance.choice(rooms), guest=chance.choice(guests), guests=1, **nights
                        )
                    case "move":
                        services.move_booking(booking, **nights)
                    case "cancel":
                        services.cancel_booking(booking)
            except services.NotPossible as error:
                self.stdout.write(str(error))
