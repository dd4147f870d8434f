"""What guests and staff can do."""

from datetime import date

from django.contrib.auth import get_user_model
from django.test import TestCase
from django.urls import reverse

from bookings import services
from bookings.models import Booking, Room

CHRISTMAS = {"arrives": date(2030, 12, 24), "leaves": date(2030, 12, 27)}
NEW_YEAR = {"arrives": date(2030, 12, 30), "leaves": date(2031, 1, 2)}


class House(TestCase):
    """One room with two beds, two guests, and a member of the staff."""

    @classmethod
    def setUpTestData(cls):
        users = get_user_model().objects
        cls.room = Room.objects.create(name="Attic", beds=2)
        cls.ann, cls.bob = users.create_user("ann"), users.create_user("bob")
        cls.staff = users.create_superuser("staff")

    def book(self, guest=None, **nights):
        return services.make_booking(room=self.room, guest=guest or self.ann, guests=2, **nights or CHRISTMAS)


class MakingTest(House):
    def test_a_guest_books_a_room(self):
        self.client.force_login(self.ann)
        answer = self.client.post(reverse("make-booking"), {"room": self.room.pk, "guests": 2, **CHRISTMAS})
        booking = Booking.objects.get()
        self.assertRedirects(answer, reverse("booking", args=[booking.pk]))
        self.assertEqual((booking.guest, booking.nights), (self.ann, 3))

    def test_a_stranger_is_asked_to_log_in(self):
        answer = self.client.post(reverse("make-booking"), {"room": self.room.pk, "guests": 2, **CHRISTMAS})
        self.assertIn(reverse("login"), answer.url)
        self.assertFalse(Booking.objects.exists())

    def test_a_room_is_not_booked_twice_for_a_night(self):
        self.book()
        self.client.force_login(self.bob)
        answer = self.client.post(reverse("make-booking"), {"room": self.room.pk, "guests": 1, **CHRISTMAS})
        self.assertContains(answer, "is taken")
        self.assertEqual(Booking.objects.count(), 1)

    def test_a_room_is_free_on_the_day_its_guest_leaves(self):
        self.book()
        self.book(self.bob, arrives=CHRISTMAS["leaves"], leaves=NEW_YEAR["arrives"])

    def test_a_room_takes_as_many_guests_as_it_has_beds(self):
        with self.assertRaisesMessage(services.NotPossible, "2 beds"):
            services.make_booking(room=self.room, guest=self.ann, guests=3, **CHRISTMAS)

    def test_a_booking_has_one_night_at_least(self):
        with self.assertRaises(services.NotPossible):
            self.book(arrives=CHRISTMAS["arrives"], leaves=CHRISTMAS["arrives"])


class ChangingTest(House):
    def test_a_guest_moves_a_booking(self):
        booking = self.book()
        self.client.force_login(self.ann)
        self.client.post(reverse("move-booking", args=[booking.pk]), NEW_YEAR)
        booking.refresh_from_db()
        self.assertEqual(booking.arrives, NEW_YEAR["arrives"])

    def test_a_booking_can_be_moved_by_one_day_of_its_own(self):
        booking = self.book()
        services.move_booking(booking, arrives=date(2030, 12, 25), leaves=date(2030, 12, 28))

    def test_a_guest_cancels_a_booking_and_the_room_is_free_again(self):
        booking = self.book()
        self.client.force_login(self.ann)
        self.client.post(reverse("cancel-booking", args=[booking.pk]))
        booking.refresh_from_db()
        self.assertIsNotNone(booking.cancelled_at)
        self.book(self.bob)

    def test_a_booking_is_cancelled_once(self):
        booking = services.cancel_booking(self.book())
        with self.assertRaises(services.NotPossible):
            services.cancel_booking(booking)

    def test_a_cancelled_booking_is_not_moved(self):
        booking = services.cancel_booking(self.book())
        with self.assertRaises(services.NotPossible):
            services.move_booking(booking, **NEW_YEAR)

    def test_a_guest_sees_no_booking_of_another(self):
        booking = self.book()
        self.client.force_login(self.bob)
        self.assertEqual(self.client.get(booking.get_absolute_url()).status_code, 404)
        self.assertEqual(self.client.post(reverse("cancel-booking", args=[booking.pk])).status_code, 404)


class StaffTest(House):
    def test_the_staff_cancels_bookings_on_their_page(self):
        booking = self.book()
        self.client.force_login(self.staff)
        page = reverse("admin:bookings_booking_changelist")
        self.assertContains(self.client.get(page), "Attic")
        self.client.post(page, {"action": "cancel", "_selected_action": [booking.pk]})
        booking.refresh_from_db()
        self.assertIsNotNone(booking.cancelled_at)
