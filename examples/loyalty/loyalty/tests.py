"""How points come and go."""

from django.contrib.auth import get_user_model
from django.test import TestCase
from django.urls import reverse

from loyalty.models import Account


class PointsTest(TestCase):
    def test_a_guest_has_an_account_from_the_first_points_on(self):
        Account.credit(7, 30, "3 nights")
        self.assertEqual(Account.objects.get(guest=7).points, 30)

    def test_points_add_up(self):
        Account.credit(7, 30, "3 nights")
        Account.credit(7, -10, "one night less")
        self.assertEqual(Account.objects.get(guest=7).points, 20)

    def test_each_guest_has_points_of_their_own(self):
        Account.credit(7, 30, "3 nights")
        Account.credit(8, 10, "1 night")
        self.assertEqual(Account.objects.get(guest=7).points, 30)

    def test_the_page_says_what_the_points_are_for(self):
        Account.credit(7, 30, "3 nights")
        page = self.client.get(reverse("account", args=[7]))
        self.assertContains(page, "30 points")
        self.assertContains(page, "+30 3 nights")

    def test_the_staff_sees_the_accounts(self):
        Account.credit(7, 30, "3 nights")
        self.client.force_login(get_user_model().objects.create_superuser("staff"))
        self.assertContains(self.client.get(reverse("admin:loyalty_account_changelist")), "30")
