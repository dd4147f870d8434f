"""A shop to look at."""

import random
from datetime import timedelta
from decimal import Decimal

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from shop.catalogue.models import Category, Product
from shop.customers.models import Address, Customer
from shop.orders.models import Order, OrderLine
from shop.reviews.models import Review

GOODS = {
    "Kitchen": ["Kettle", "Pan", "Teapot", "Cutting board", "Grater", "Bread knife"],
    "Garden": ["Hose", "Spade", "Watering can", "Bird house", "Gloves"],
    "Books": ["Atlas", "Cookery book", "Crossword puzzles", "Field guide"],
    "Office": ["Desk lamp", "Fountain pen", "Notebook", "Stapler", "Paper clips"],
}
KINDS = ["", "small ", "large ", "blue ", "green "]
NAMES = ["Ann Able", "Bob Baker", "Cy Cole", "Dora Dean", "Eve Ellis", "Finn Fox", "Gus Gray", "Hal Hunt"]
TEXTS = ["Just right.", "Would buy it again.", "It came late, but it came.", "Smaller than I thought."]
DAYS = 30
BATCH = 50
PASSWORD = "kettles and pans"  # noqa: S105 - of a shop to look at


class Command(BaseCommand):
    help = f"Fill an empty shop. Log in as staff, ann or bob; the password: {PASSWORD}"

    def add_arguments(self, parser):
        parser.add_argument("--products", type=int, default=60)
        parser.add_argument("--customers", type=int, default=8)
        parser.add_argument("--orders", type=int, default=120)

    def handle(self, products, customers, orders, **options):
        if Product.objects.exists():
            raise CommandError("The shop is not empty.")
        fill(products, customers, orders)
        self.stdout.write(f"{products} products, {customers} customers, {orders} orders. {self.help}")


@transaction.atomic
def fill(products, customers, orders):
    """The same goods, customers and orders at every run, on the last days."""
    chance = random.Random(1)  # noqa: S311 - no secret
    goods = fill_catalogue(products, chance)
    buyers = fill_customers(customers)
    fill_orders(orders, goods, buyers, chance)
    reviews = [
        Review(
            product=product, customer=buyer, author=buyer.name, stars=chance.randint(2, 5), text=chance.choice(TEXTS)
        )
        for product in goods
        for buyer in chance.sample(buyers, min(2, len(buyers)))
    ]
    Review.objects.bulk_create(reviews, batch_size=BATCH)


def fill_catalogue(number, chance):
    categories = Category.objects.bulk_create(Category(name=name, slug=name.lower()) for name in GOODS)
    names = [(kind, name, one) for kind in KINDS for one in categories for name in GOODS[one.name]]
    return Product.objects.bulk_create(
        Product(
            category=category,
            name=f"{kind}{name}".capitalize(),
            description=f"A {kind}{name.lower()} for years to come.",
            price=Decimal(chance.randint(300, 9900)) / 100,
            stock=chance.choice([0, 5, 40, 200]),
        )
        for kind, name, category in (names[n % len(names)] for n in range(number))
    )


def fill_customers(number):
    User.objects.create_superuser("staff", password=PASSWORD)
    buyers = Customer.objects.bulk_create(customer(*divmod(n, len(NAMES))) for n in range(number))
    Address.objects.bulk_create(
        Address(customer=buyer, name=buyer.name, street=f"{n} Mill Lane", postcode=f"{n:05}", city="Leipzig")
        for n, buyer in enumerate(buyers, 1)
    )
    return buyers


def customer(turn, n):
    """The names begin again after the last one, with a number."""
    suffix = str(turn + 1) if turn else ""
    username = NAMES[n].split()[0].lower() + suffix
    user = User.objects.create_user(username, password=None if turn else PASSWORD)
    return Customer(user=user, name=f"{NAMES[n]} {suffix}".strip(), email=f"{username}@example.com")


def fill_orders(number, goods, buyers, chance):
    now = timezone.now()
    chosen = [chance.sample(goods, min(chance.randint(1, 4), len(goods))) for _ in range(number)]
    orders = Order.objects.bulk_create(
        order_of(chance.choice(buyers), products, now - timedelta(days=DAYS - 1) * n / number, chance)
        for n, products in enumerate(chosen)
    )
    lines = [
        OrderLine(order=order, product=product, name=product.name, price=product.price)
        for order, products in zip(orders, chosen)
        for product in products
    ]
    OrderLine.objects.bulk_create(lines, batch_size=BATCH)


def order_of(buyer, products, placed_at, chance):
    shipped = chance.random() < 2 / 3
    return Order(
        customer=buyer,
        status=Order.Status.SHIPPED if shipped else Order.Status.NEW,
        placed_at=placed_at,
        shipped_at=placed_at + timedelta(hours=20) if shipped else None,
        name=buyer.name,
        email=buyer.email,
        street="1 Mill Lane",
        postcode="04109",
        city="Leipzig",
        total=sum(product.price for product in products),
    )
