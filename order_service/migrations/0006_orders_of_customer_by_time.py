"""The orders of a customer by time: the ids of imported ones are in no sequence of time."""

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # built while the table is written to
    dependencies: ClassVar = [("order_service", "0005_imported_orders")]
    operations: ClassVar = [
        ValidateConstraint("orderrow", "orders_status"),
        AddIndexConcurrently(
            "orderrow",
            models.Index(fields=["customer_id", "-created_at", "-order_id"], name="orders_of_customer_by_time"),
        ),
    ]
