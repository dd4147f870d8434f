"""Indexes to list payments by customer and by time, for the collection of payments."""

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # built while the table is written to
    dependencies: ClassVar = [("payment_service", "0004_settled_by")]
    operations: ClassVar = [
        AddIndexConcurrently(
            "paymentrow", models.Index(fields=["customer_id", "-order_id"], name="payments_of_customer")
        ),
        AddIndexConcurrently(
            "paymentrow", models.Index(fields=["created_at"], name="payments_by_time")
        ),
    ]
