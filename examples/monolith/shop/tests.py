"""What holds for all pages."""

from django.db import OperationalError, connections

from shop.catalogue.models import Product
from shop.customers.models import Address
from shop.reviews.models import Review
from shop.staff.management.commands import demo
from shop.testing import ADDRESS, ShopTestCase, make_category, make_customer, make_order, make_product, make_staff

MOST_QUERIES = 3


class QueryTests(ShopTestCase):
    """Pages ask for what they show in few queries, however much that is."""

    @classmethod
    def setUpTestData(cls):
        cls.staff, cls.ann = make_staff(), make_customer("Ann Able")
        cls.kitchen = make_category("Kitchen")
        cls.products = [make_product(f"Cup {n}", category=cls.kitchen) for n in range(4)]
        cls.orders = [make_order(cls.ann, *cls.products) for _ in range(3)]
        for name in ("Ann Able", "Bob Baker"):
            customer = cls.ann if name == "Ann Able" else make_customer(name)
            Review.objects.create(product=cls.products[0], customer=customer, author=name, stars=4)
            Address.objects.create(
                customer=customer, **{name: ADDRESS[name] for name in ("name", "street", "postcode", "city")}
            )

    def assert_few_queries(self, path, shown):
        with self.assert_asks_at_most(MOST_QUERIES):
            self.assertContains(self.client.get(path), shown)

    def as_customer(self):
        self.client.force_login(self.ann.user)
        for product in self.products:
            self.put_into_cart(product)

    def as_staff(self):
        self.client.force_login(self.staff)

    def test_the_list_of_products(self):
        self.assert_few_queries("/", "Cup 3")

    def test_a_category(self):
        self.assert_few_queries(self.kitchen.get_absolute_url(), "Cup 3")

    def test_a_search(self):
        self.assert_few_queries("/?q=cup", "Cup 3")

    def test_a_product(self):
        self.assert_few_queries(self.products[0].get_absolute_url(), "Bob Baker")

    def test_the_reviews_of_a_product(self):
        self.assert_few_queries(f"/products/{self.products[0].pk}/reviews/", "Bob Baker")

    def test_the_cart(self):
        self.as_customer()
        self.assert_few_queries("/cart/", "Cup 3")

    def test_the_checkout(self):
        self.as_customer()
        self.assert_few_queries("/orders/checkout/", "Cup 3")

    def test_the_account(self):
        self.as_customer()
        self.assert_few_queries("/account/", "1 Mill Lane")

    def test_the_orders_of_a_customer(self):
        self.as_customer()
        self.assert_few_queries("/orders/", str(self.orders[2]))

    def test_an_order(self):
        self.as_customer()
        self.assert_few_queries(self.orders[0].get_absolute_url(), "Cup 3")

    def test_the_orders_for_the_staff(self):
        self.as_staff()
        self.assert_few_queries("/staff/orders/", "Ann Able")

    def test_an_order_for_the_staff(self):
        self.as_staff()
        self.assert_few_queries(f"/staff/orders/{self.orders[0].pk}/", "Cup 3")

    def test_the_products_for_the_staff(self):
        self.as_staff()
        self.assert_few_queries("/staff/products/", "Kitchen")

    def test_the_form_of_a_product(self):
        self.as_staff()
        self.assert_few_queries(f"/staff/products/{self.products[0].pk}/", "Kitchen")

    def test_the_reviews_for_the_staff(self):
        self.as_staff()
        self.assert_few_queries("/staff/reviews/", "Cup 0")

    def test_the_report(self):
        self.as_staff()
        self.assert_few_queries("/staff/report/", "<strong>3</strong> orders")


class UnavailableTests(ShopTestCase):
    def test_a_database_that_is_away_is_said_to_be(self):
        def away(execute, sql, params, many, context):
            raise OperationalError("away")

        connection = connections[Product.objects.all().db]
        with connection.execute_wrapper(away):
            page = self.client.get("/")
        self.assertContains(page, "We are back soon", status_code=503)
        self.assertEqual(page.headers["Retry-After"], "10")

    def test_an_unknown_page_is_said_to_be_none(self):
        self.assertContains(self.client.get("/nowhere/"), "There is no such page", status_code=404)


class DemoTests(ShopTestCase):
    def test_the_demo_shop_has_something_on_every_page(self):
        demo.fill(products=14, customers=2, orders=5)
        self.assertContains(self.client.get("/"), "14 products")
        self.client.force_login(make_staff())
        self.assertContains(self.client.get("/staff/report/"), "<strong>5</strong> orders")
        self.assertContains(self.client.get("/staff/reviews/"), "★")
