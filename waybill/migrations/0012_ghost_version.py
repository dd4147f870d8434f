"""The version that an acknowledged ghost took with it: its key may rightly skip it."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("chassis", "0011_program_state")]
    operations: ClassVar = [
        migrations.RunSQL(
            "ALTER TABLE operator_decision ADD COLUMN version integer",
            "ALTER TABLE operator_decision DROP COLUMN version",
        )
    ]
