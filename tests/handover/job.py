"""A job of the shop, on its own models: each line on stdin is a note; it answers what became of it.

Run in the shop's folder, with its settings. It makes an order with lines, and adds to an order that it has made before.
"""

import json
import sys

import django

django.setup()

from django.db import DatabaseError, connection, transaction  # noqa: E402 - models come after the settings
from django.db.models import F, Value  # noqa: E402
from django.db.models.functions import Concat  # noqa: E402

from shop.orders.models import Order, OrderLine  # noqa: E402

REFUSED = "WB001"


def main(customer: int) -> None:
    made: list[int] = []
    for number, line in enumerate(sys.stdin):
        note = line.strip()
        told, committing = "done", False
        try:
            with transaction.atomic():
                if number % 3 == 0 or not made:
                    (order,) = Order.objects.bulk_create([Order(customer_id=customer, note=note, name="job")])
                    OrderLine.objects.bulk_create(
                        [OrderLine(order=order, product_id=1 + n, name="Pan", price=1, quantity=1) for n in range(2)]
                    )
                    new = [order.pk]
                else:
                    new = []
                    Order.objects.filter(pk=made[-1]).update(note=Concat(F("note"), Value(note)))
                committing = True
            made += new
        except DatabaseError as error:
            refused = getattr(error.__cause__, "sqlstate", None) == REFUSED
            told = "not done" if refused or not committing else "unknown"
            connection.close()
        sys.stdout.write(json.dumps({"told": told}) + "\n")
        sys.stdout.flush()


main(int(sys.argv[1]))
