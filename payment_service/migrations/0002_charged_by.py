"""Whose books a charge stands in; nobody knows it of the charges that were made before."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("payment_service", "0001_initial")]
    operations: ClassVar = [migrations.AddField("paymentrow", "provider", models.TextField(null=True))]
