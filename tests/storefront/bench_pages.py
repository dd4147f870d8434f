"""A shop of examples/monolith in a process of its own: answers for a page by its name, with milliseconds and calls.

Runs in the shop's environment and folder, by `tests.storefront.bench`. A line in is the name of a page; a line out is
what one request for it took. `calls` counts what the page asks of the shop's own tables, as its tests do.
"""

import json
import re
import sys
import time

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402 - models need Django
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.test import Client  # noqa: E402

from shop.catalogue.models import Category, Product  # noqa: E402
from shop.orders.models import Order  # noqa: E402

OF_DJANGO = re.compile(r'(FROM|INTO|UPDATE) "(auth|django)_|SAVEPOINT')
PRODUCTS, CUSTOMERS, ORDERS, IN_CART = 200, 40, 1_000, 4


def pages(customer: Client, staff: Client) -> dict[str, tuple[Client, str]]:
    """Fill the cart, and return who asks for what, by the page's name."""
    products = list(Product.objects.filter(stock__gt=0).order_by("pk")[:IN_CART])
    for product in products:
        assert customer.post(f"/cart/{product.pk}/add/", {"quantity": 1}).status_code == 302
    order = Order.objects.filter(customer__user__username="ann").order_by("pk").first()
    return {
        "products": (customer, "/"),
        "category": (customer, Category.objects.order_by("pk").first().get_absolute_url()),
        "search": (customer, "/?q=pan"),
        "product": (customer, products[0].get_absolute_url()),
        "cart": (customer, "/cart/"),
        "checkout": (customer, "/orders/checkout/"),
        "orders": (customer, "/orders/"),
        "order": (customer, order.get_absolute_url()),
        "staff: orders": (staff, "/staff/orders/"),
        "staff: report": (staff, "/staff/report/"),
    }


def asked(client: Client, path: str) -> float:
    """Ask for the page, and return the seconds that it took."""
    began = time.perf_counter()
    answer = client.get(path)
    took = time.perf_counter() - began
    assert answer.status_code == 200, (path, answer.status_code)
    return took


def counted(client: Client, path: str) -> int:
    """Return how often the page asks for something of the shop's."""
    for connection in connections.all():
        connection.force_debug_cursor = True
        connection.queries_log.clear()
    asked(client, path)
    said = [query["sql"] for connection in connections.all() for query in connection.queries_log]
    for connection in connections.all():
        connection.force_debug_cursor = False
    return sum(not OF_DJANGO.search(sql) for sql in said)


def main() -> None:
    """Fill the shop, tell the pages, and answer until the input ends."""
    call_command("migrate", verbosity=0)
    call_command("demo", products=PRODUCTS, customers=CUSTOMERS, orders=ORDERS, stdout=sys.stderr)
    clients = [Client(SERVER_NAME="localhost"), Client(SERVER_NAME="localhost")]
    for client, name in zip(clients, ("ann", "staff"), strict=True):
        client.force_login(User.objects.get(username=name))
    known = pages(*clients)
    print(json.dumps({name: counted(*page) for name, page in known.items()}), flush=True)
    for line in sys.stdin:
        print(asked(*known[line.strip()]) * 1_000, flush=True)


main()
