"""Have the rows read that were there before the constraint: nobody waits for that."""

from typing import ClassVar

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("inventory_service", "0004_imported_products")]
    operations: ClassVar = [ValidateConstraint("productrow", "products_status")]
