"""From the cart to an order, and what becomes of it."""

from decimal import Decimal

from django.core import mail

from shop.catalogue.models import Product
from shop.customers.models import Address
from shop.orders import services
from shop.orders.models import Order, OrderLine
from shop.testing import ADDRESS, ShopTestCase, make_customer, make_order, make_product, make_staff


class CheckoutTests(ShopTestCase):
    @classmethod
    def setUpTestData(cls):
        cls.ann = make_customer("Ann Able")
        cls.kettle, cls.pan = make_product("Kettle", "19.90", 5), make_product("Pan", "35.00", 5)

    def setUp(self):
        self.client.force_login(self.ann.user)
        self.put_into_cart(self.kettle, 2)
        self.put_into_cart(self.pan)

    def check_out(self, **values):
        return self.client.post("/orders/checkout/", {**ADDRESS, "note": "", **values}, follow=True)

    def stocks(self):
        return dict(Product.objects.values_list("name", "stock"))

    def test_the_cart_becomes_an_order(self):
        page = self.check_out(note="Ring twice")
        order = Order.objects.get()
        self.assertRedirects(page, order.get_absolute_url())
        self.assertEqual((order.customer, order.status, order.total), (self.ann, "new", Decimal("74.80")))
        self.assertEqual((order.city, order.note), ("Leipzig", "Ring twice"))
        lines = [(line.product, line.name, line.price, line.quantity) for line in order.lines.all()]
        self.assertCountEqual(
            lines, [(self.kettle, "Kettle", Decimal("19.90"), 2), (self.pan, "Pan", Decimal("35.00"), 1)]
        )

    def test_the_cart_is_empty_afterwards(self):
        self.check_out()
        self.assertEqual(self.client.get("/cart/").context["items"], [])

    def test_what_was_ordered_is_taken_out_of_stock(self):
        self.check_out()
        self.assertEqual(self.stocks(), {"Kettle": 3, "Pan": 4})

    def test_a_mail_confirms_the_order(self):
        self.check_out(email="home@example.com")
        (message,) = mail.outbox
        self.assertEqual(message.to, ["home@example.com"])
        for text in ("2 x Kettle: 39.80 €", "1 x Pan: 35.00 €", "Sum: 74.80 €", "1 Mill Lane"):
            self.assertIn(text, message.body)

    def test_an_order_keeps_the_names_and_prices_of_its_day(self):
        self.check_out()
        Product.objects.filter(pk=self.kettle.pk).update(name="Old kettle", price=Decimal("99.00"))
        page = self.client.get(Order.objects.get().get_absolute_url())
        self.assertContains(page, "19.90 €")
        self.assertNotContains(page, "Old kettle")

    def test_an_order_that_cannot_be_filled_takes_nothing(self):
        Product.objects.filter(pk=self.pan.pk).update(stock=0)
        page = self.check_out()
        self.assertContains(page, "Of Pan there are only 0 left.")
        self.assertEqual(self.stocks(), {"Kettle": 5, "Pan": 0})
        self.assertFalse(Order.objects.exists())
        self.assertEqual(mail.outbox, [])

    def test_an_address_without_a_city_is_refused(self):
        self.assertContains(self.check_out(city=""), "This field is required.")
        self.assertFalse(Order.objects.exists())

    def test_the_form_knows_the_customers_address(self):
        Address.objects.create(customer=self.ann, name="Ann Able", street="7 High Street", postcode="1", city="York")
        page = self.client.get("/orders/checkout/")
        for text in ("7 High Street", "York", "ann@example.com"):
            self.assertContains(page, f'value="{text}"')

    def test_an_empty_cart_makes_no_order(self):
        self.check_out()
        self.assertRedirects(self.client.get("/orders/checkout/"), "/cart/")
        self.assertContains(self.check_out(), "The cart is empty.")
        self.assertEqual(Order.objects.count(), 1)

    def test_strangers_are_asked_to_log_in(self):
        self.client.logout()
        self.assertRedirects(self.check_out(), "/account/login/?next=/orders/checkout/")


class OwnOrdersTests(ShopTestCase):
    @classmethod
    def setUpTestData(cls):
        cls.ann, cls.bob = make_customer("Ann Able"), make_customer("Bob Baker")
        cls.kettle = make_product("Kettle", stock=5)
        cls.order = make_order(cls.ann, cls.kettle, quantity=2)
        cls.of_bob = make_order(cls.bob, cls.kettle)

    def setUp(self):
        self.client.force_login(self.ann.user)

    def stock(self):
        return Product.objects.get(pk=self.kettle.pk).stock

    def test_customers_see_their_own_orders_only(self):
        self.assertEqual(list(self.client.get("/orders/").context["page_obj"]), [self.order])
        self.assertEqual(self.client.get(self.of_bob.get_absolute_url()).status_code, 404)
        self.assertEqual(self.client.post(f"/orders/{self.of_bob.pk}/cancel/").status_code, 404)

    def test_an_order_shows_its_lines_and_its_sum(self):
        page = self.client.get(self.order.get_absolute_url())
        for text in ("Kettle", "39.80 €", "Leipzig"):
            self.assertContains(page, text)

    def test_the_newest_order_comes_first_and_pages_hold_ten(self):
        orders = [make_order(self.ann, make_product(stock=1)) for _ in range(10)]
        page = self.client.get("/orders/")
        self.assertEqual(list(page.context["page_obj"]), orders[::-1])
        self.assertEqual(list(self.client.get("/orders/?page=2").context["page_obj"]), [self.order])

    def test_a_cancelled_order_gives_back_what_it_took(self):
        self.assertEqual(self.stock(), 2)
        page = self.client.post(f"/orders/{self.order.pk}/cancel/", follow=True)
        self.assertContains(page, "The order is cancelled.")
        self.assertEqual(self.stock(), 4)

    def test_an_order_is_cancelled_once(self):
        services.cancel(self.order)
        page = self.client.post(f"/orders/{self.order.pk}/cancel/", follow=True)
        self.assertContains(page, "is not new any more.")
        self.assertEqual(self.stock(), 4)

    def test_an_order_on_its_way_is_not_cancelled(self):
        services.ship(self.order)
        self.assertNotContains(self.client.get(self.order.get_absolute_url()), "Cancel the order")
        self.client.post(f"/orders/{self.order.pk}/cancel/")
        self.assertEqual(Order.objects.get(pk=self.order.pk).status, "shipped")


class AdminTests(ShopTestCase):
    @classmethod
    def setUpTestData(cls):
        cls.staff = make_staff()
        cls.ann, cls.bob = make_customer("Ann Able"), make_customer("Bob Baker")
        cls.kettle, cls.pan = make_product("Kettle", "19.90"), make_product("Pan", "35.00")
        cls.of_ann = make_order(cls.ann, cls.kettle, cls.pan)
        cls.of_bob = make_order(cls.bob, cls.pan, name="B. B.", email="bob@example.com")

    def setUp(self):
        self.client.force_login(self.staff)

    def found(self, **query):
        return list(self.client.get("/admin/orders/order/", query).context["cl"].result_list)

    def do(self, action, *orders):
        chosen = {"action": action, "_selected_action": [order.pk for order in orders]}
        return self.client.post("/admin/orders/order/", chosen, follow=True)

    def test_orders_are_found_by_their_customers_name(self):
        self.assertEqual(self.found(q="baker"), [self.of_bob])
        self.assertEqual(self.found(q="able leipzig"), [self.of_ann])

    def test_orders_are_filtered_by_status(self):
        services.ship(self.of_bob)
        self.assertEqual(self.found(status__exact="shipped"), [self.of_bob])

    def test_orders_are_shipped_together_and_their_customers_told(self):
        self.assertContains(self.do("ship", self.of_ann, self.of_bob), "2 shipped.")
        self.assertEqual(set(Order.objects.values_list("status", flat=True)), {"shipped"})
        self.assertCountEqual([message.to[0] for message in mail.outbox], ["ann@example.com", "bob@example.com"])

    def test_a_cancelled_order_is_not_shipped(self):
        services.cancel(self.of_ann)
        page = self.do("ship", self.of_ann, self.of_bob)
        self.assertContains(page, f"Order {self.of_ann.pk} is not new any more.")
        self.assertContains(page, "1 shipped.")
        self.assertEqual([message.to for message in mail.outbox], [["bob@example.com"]])

    def test_lines_are_changed_added_and_deleted_with_their_order_and_the_sum_follows(self):
        path = f"/admin/orders/order/{self.of_ann.pk}/change/"
        self.assertContains(self.client.get(path), "Kettle")
        kettle, pan = self.of_ann.lines.all()
        values = {"customer": self.ann.pk, **ADDRESS, "lines-TOTAL_FORMS": 3, "lines-INITIAL_FORMS": 2}
        for number, (line, price, quantity) in enumerate(((kettle, "19.90", 3), (pan, "35.00", 1), (None, "5.00", 2))):
            values |= {
                f"lines-{number}-id": line.pk if line else "",
                f"lines-{number}-order": self.of_ann.pk,
                f"lines-{number}-product": line.product_id if line else self.kettle.pk,
                f"lines-{number}-price": price,
                f"lines-{number}-quantity": quantity,
            }
        page = self.client.post(path, values | {"lines-1-DELETE": "on"}, follow=True)
        self.assertContains(page, "was changed successfully")
        lines = [(line.name, line.price, line.quantity) for line in self.of_ann.lines.all()]
        self.assertEqual(lines, [("Kettle", Decimal("19.90"), 3), ("Kettle", Decimal("5.00"), 2)])
        self.assertEqual(Order.objects.get(pk=self.of_ann.pk).total, Decimal("69.70"))

    def test_an_order_is_deleted_with_its_lines(self):
        self.client.post(f"/admin/orders/order/{self.of_ann.pk}/delete/", {"post": "yes"})
        self.assertEqual(list(Order.objects.all()), [self.of_bob])
        self.assertEqual([line.order for line in OrderLine.objects.all()], [self.of_bob])
