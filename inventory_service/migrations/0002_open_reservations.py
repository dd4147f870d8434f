"""An index of the reservations that have not ended, so that counting them reads nothing else."""

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # built while the table is written to
    dependencies: ClassVar = [("inventory_service", "0001_initial")]
    operations: ClassVar = [
        AddIndexConcurrently(
            "reservationrow",
            models.Index(
                fields=["status"],
                name="reservations_open",
                condition=models.Q(status__in=["RESERVED"]),
            ),
        )
    ]
