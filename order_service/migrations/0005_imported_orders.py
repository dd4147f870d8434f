"""Where an order of the webshop stands there, and which of its events that is from."""

from typing import ClassVar

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

STATUSES = ("NONE", "PENDING", "RESERVED", "CHARGED", "CONFIRMED", "CANCELLING", "CANCELLED", "IMPORTED", "ERASED")


class Migration(migrations.Migration):
    dependencies: ClassVar = [("order_service", "0004_orders_by_time")]
    operations: ClassVar = [
        migrations.AddField("orderrow", "imported_status", models.TextField(null=True)),
        migrations.AddField("orderrow", "source_version", models.IntegerField(db_default=0)),
        migrations.RemoveConstraint("orderrow", "orders_status"),
        # Rows that are there were held by the former one; 0006 has them read, without a lock that anybody waits for.
        AddConstraintNotValid(
            "orderrow", models.CheckConstraint(name="orders_status", condition=models.Q(status__in=STATUSES))
        ),
    ]
