"""How an operator settled a refund; null where the provider paid it."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("payment_service", "0003_open_payments")]
    operations: ClassVar = [migrations.AddField("paymentrow", "settled_by", models.TextField(null=True))]
