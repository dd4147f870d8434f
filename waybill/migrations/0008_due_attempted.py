"""An index of the due rows that were attempted, so that telling how long they have been due reads nothing else."""

from typing import ClassVar

from django.db import migrations

ATTEMPTED = """
CREATE INDEX CONCURRENTLY due_attempted ON due (task, first_attempt_at) WHERE first_attempt_at IS NOT NULL
"""


class Migration(migrations.Migration):
    atomic = False  # built while the table is written to
    dependencies: ClassVar = [("chassis", "0007_schema_ids_for_ever")]
    operations: ClassVar = [migrations.RunSQL(ATTEMPTED, "DROP INDEX due_attempted")]
