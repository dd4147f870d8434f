"""An index to list reservations by time, for the collection of reservations."""

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # built while the table is written to
    dependencies: ClassVar = [("inventory_service", "0002_open_reservations")]
    operations: ClassVar = [
        AddIndexConcurrently(
            "reservationrow", models.Index(fields=["created_at"], name="reservations_by_time")
        ),
    ]
