"""Indexes to list notifications by customer and by time, for the collection of notifications."""

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # built while the table is written to
    dependencies: ClassVar = [("notification_service", "0002_webhooks")]
    operations: ClassVar = [
        AddIndexConcurrently(
            "notificationrow", models.Index(fields=["customer_id", "-order_id"], name="notifications_of_customer")
        ),
        AddIndexConcurrently(
            "notificationrow", models.Index(fields=["created_at"], name="notifications_by_time")
        ),
    ]
