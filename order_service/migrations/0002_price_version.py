"""Which version of the product a price was kept from; rows from before are taken for older than any."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("order_service", "0001_initial")]
    operations: ClassVar = [migrations.AddField("pricerow", "source_version", models.IntegerField(db_default=0))]
