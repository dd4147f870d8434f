"""Products of the webshop: whether it sells them, and which of its events they are from."""

from typing import ClassVar

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

STATUSES = ("NONE", "LISTED", "DELISTED", "IMPORTED", "ERASED")


class Migration(migrations.Migration):
    dependencies: ClassVar = [("inventory_service", "0003_reservations_by_time")]
    operations: ClassVar = [
        migrations.AddField("productrow", "for_sale", models.BooleanField(db_default=True)),
        migrations.AddField("productrow", "source_version", models.IntegerField(db_default=0)),
        migrations.RemoveConstraint("productrow", "products_status"),
        AddConstraintNotValid(
            "productrow", models.CheckConstraint(name="products_status", condition=models.Q(status__in=STATUSES))
        ),
    ]
