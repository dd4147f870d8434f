"""What tests begin with: goods, customers, orders."""

import re
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from itertools import count

from django.contrib.auth.models import User
from django.db import connections
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from shop.cart.cart import Item
from shop.catalogue.models import Category, Product
from shop.customers.models import Customer
from shop.orders import services

OF_DJANGO = re.compile(r'(FROM|INTO|UPDATE) "(auth|django)_|SAVEPOINT')
ADDRESS = {
    "name": "Ann Able",
    "email": "ann@example.com",
    "street": "1 Mill Lane",
    "postcode": "04109",
    "city": "Leipzig",
}
numbers = count(1)


def make_category(name="Kitchen"):
    return Category.objects.create(name=name, slug=name.lower())


def make_product(name="Kettle", price="19.90", stock=10, **values):
    return Product.objects.create(name=name, price=Decimal(price), stock=stock, **values)


def make_customer(name="Ann Able"):
    user = User.objects.create_user(f"{name.split()[0].lower()}-{next(numbers)}")
    return Customer.objects.create(user=user, name=name, email="ann@example.com")


def make_staff():
    return User.objects.create_superuser(f"staff-{next(numbers)}")


def make_order(customer, *products, quantity=1, **values):
    items = [Item(product, quantity) for product in products]
    return services.place(customer, items, **{**ADDRESS, **values})


class ShopTestCase(TestCase):
    databases = "__all__"

    def put_into_cart(self, product, quantity=1):
        return self.client.post(f"/cart/{product.pk}/add/", {"quantity": quantity}, follow=True)

    @contextmanager
    def assert_asks_at_most(self, most):
        """Bound the queries to the shop's own tables, in whatever databases they are; sessions and users aside."""
        with ExitStack() as stack:
            caught = [stack.enter_context(CaptureQueriesContext(connections[alias])) for alias in connections]
            yield
        asked = [query["sql"] for one in caught for query in one.captured_queries if not OF_DJANGO.search(query["sql"])]
        self.assertLessEqual(len(asked), most, "\n".join(asked))
        self.assertGreater(len(asked), 0, "the page asks for nothing: the bound proves nothing")
