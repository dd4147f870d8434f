"""An index of the payments that have not ended, so that counting them reads nothing else."""

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # built while the table is written to
    dependencies: ClassVar = [("payment_service", "0002_charged_by")]
    operations: ClassVar = [
        AddIndexConcurrently(
            "paymentrow",
            models.Index(
                fields=["status"],
                name="payments_open",
                condition=models.Q(status__in=["REQUESTED", "VOIDING", "REFUNDING"]),
            ),
        )
    ]
