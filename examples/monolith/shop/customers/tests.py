"""Accounts of customers."""

from django.contrib.auth.models import User

from shop.customers.models import Address, Customer
from shop.testing import ShopTestCase, make_customer, make_staff

HOME = {"name": "Ann Able", "street": "1 Mill Lane", "postcode": "04109", "city": "Leipzig"}
PASSWORDS = {"password1": "kettles and pans", "password2": "kettles and pans"}


class SignUpTests(ShopTestCase):
    def sign_up(self, **values):
        given = {"username": "ann", "name": "Ann Able", "email": "ann@example.com", **PASSWORDS, **values}
        return self.client.post("/account/sign-up/", given, follow=True)

    def test_who_signs_up_is_a_customer_and_logged_in(self):
        page = self.sign_up()
        self.assertContains(page, "Welcome!")
        customer = Customer.objects.get()
        self.assertEqual((customer.name, customer.email), ("Ann Able", "ann@example.com"))
        self.assertEqual(page.context["user"], customer.user)

    def test_a_user_name_that_is_taken_is_refused(self):
        User.objects.create_user("ann")
        self.assertContains(self.sign_up(), "A user with that username already exists.")
        self.assertFalse(Customer.objects.exists())

    def test_a_weak_password_is_refused(self):
        page = self.sign_up(password1="password", password2="password")
        self.assertContains(page, "This password is too common.")
        self.assertFalse(User.objects.exists())


class AccountTests(ShopTestCase):
    @classmethod
    def setUpTestData(cls):
        cls.ann, cls.bob = make_customer("Ann Able"), make_customer("Bob Baker")
        cls.of_bob = Address.objects.create(customer=cls.bob, **{**HOME, "name": "Bob Baker"})

    def setUp(self):
        self.client.force_login(self.ann.user)

    def test_strangers_are_asked_to_log_in(self):
        self.client.logout()
        self.assertRedirects(self.client.get("/account/"), "/account/login/?next=/account/")

    def test_customers_change_their_name_and_mail_address(self):
        self.client.post("/account/", {"name": "Ann Miller", "email": "miller@example.com", "phone": ""})
        ann = Customer.objects.get(pk=self.ann.pk)
        self.assertEqual((ann.name, ann.email), ("Ann Miller", "miller@example.com"))

    def test_a_mail_address_that_is_none_is_refused(self):
        page = self.client.post("/account/", {"name": "Ann", "email": "at home"})
        self.assertContains(page, "Enter a valid email address.")

    def test_an_address_is_added_changed_and_deleted(self):
        self.client.post("/account/addresses/new/", HOME)
        address = self.ann.addresses.get()
        self.client.post(f"/account/addresses/{address.pk}/", {**HOME, "city": "Halle"})
        self.assertContains(self.client.get("/account/"), "Ann Able, 1 Mill Lane, 04109 Halle")
        self.client.post(f"/account/addresses/{address.pk}/delete/")
        self.assertFalse(self.ann.addresses.exists())
        self.assertTrue(self.bob.addresses.exists())

    def test_an_address_without_a_city_is_refused(self):
        page = self.client.post("/account/addresses/new/", {**HOME, "city": ""})
        self.assertContains(page, "This field is required.")
        self.assertFalse(self.ann.addresses.exists())

    def test_nobody_reads_or_changes_the_address_of_another(self):
        for path in (f"/account/addresses/{self.of_bob.pk}/", f"/account/addresses/{self.of_bob.pk}/delete/"):
            self.assertEqual(self.client.get(path).status_code, 404)
            self.assertEqual(self.client.post(path, HOME).status_code, 404)
        self.assertEqual(Address.objects.get().name, "Bob Baker")

    def test_a_user_of_the_staff_becomes_a_customer_at_the_first_visit(self):
        staff = make_staff()
        self.client.force_login(staff)
        self.assertContains(self.client.get("/account/"), f'value="{staff.username}"')
        self.assertEqual(Customer.objects.get(user=staff).user, staff)


class AdminTests(ShopTestCase):
    @classmethod
    def setUpTestData(cls):
        cls.staff, cls.ann = make_staff(), make_customer("Ann Able")
        cls.home = Address.objects.create(customer=cls.ann, **HOME)

    def setUp(self):
        self.client.force_login(self.staff)

    def test_the_list_tells_each_customers_user(self):
        self.assertContains(self.client.get("/admin/customers/customer/", {"q": "able"}), self.ann.user.username)

    def test_a_customers_addresses_are_changed_on_their_page(self):
        path = f"/admin/customers/customer/{self.ann.pk}/change/"
        self.assertContains(self.client.get(path), "1 Mill Lane")
        values = {"user": self.ann.user_id, "name": "Ann Able", "email": "ann@example.com", "phone": "112"}
        values |= {"addresses-TOTAL_FORMS": 2, "addresses-INITIAL_FORMS": 1}
        for number, street in enumerate(("2 Mill Lane", "3 Mill Lane")):
            values |= {f"addresses-{number}-{name}": value for name, value in {**HOME, "street": street}.items()}
            values[f"addresses-{number}-customer"] = self.ann.pk
        self.client.post(path, values | {"addresses-0-id": self.home.pk})
        streets = [address.street for address in self.ann.addresses.all()]
        self.assertEqual(streets, ["2 Mill Lane", "3 Mill Lane"])
        self.assertEqual(Customer.objects.get(pk=self.ann.pk).phone, "112")
