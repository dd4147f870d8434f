"""A replay job that an operator gave up."""

from typing import ClassVar

from django.db import migrations

ABANDONED = """
ALTER TABLE replay_job ADD COLUMN abandoned boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN replay_job.abandoned IS 'an operator gave it up; what was sent until then stays sent';
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("chassis", "0005_written_with")]
    operations: ClassVar = [migrations.RunSQL(ABANDONED, "ALTER TABLE replay_job DROP COLUMN abandoned")]
