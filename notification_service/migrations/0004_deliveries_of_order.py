"""An index to find what was delivered of one order, for its story."""

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # built while the table is written to
    dependencies: ClassVar = [("notification_service", "0003_notifications_listed")]
    operations: ClassVar = [
        AddIndexConcurrently("deliveryrow", models.Index(fields=["order_id"], name="deliveries_of_order")),
    ]
