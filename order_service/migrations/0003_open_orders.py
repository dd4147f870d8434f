"""An index of the orders that have not ended, so that counting them reads nothing else."""

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # built while the table is written to
    dependencies: ClassVar = [("order_service", "0002_price_version")]
    operations: ClassVar = [
        AddIndexConcurrently(
            "orderrow",
            models.Index(
                fields=["status"],
                name="orders_open",
                condition=models.Q(status__in=["PENDING", "RESERVED", "CANCELLING"]),
            ),
        )
    ]
