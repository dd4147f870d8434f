"""An index to list orders by time, for the collection of orders."""

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # built while the table is written to
    dependencies: ClassVar = [("order_service", "0003_open_orders")]
    operations: ClassVar = [
        AddIndexConcurrently(
            "orderrow", models.Index(fields=["created_at"], name="orders_by_time")
        ),
    ]
