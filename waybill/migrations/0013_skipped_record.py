"""Records that operators decided to skip, because their consumer can neither handle nor keep them."""

from typing import ClassVar

from django.db import migrations

# The consumer looks a record up by its place, as often as it waits at one.
SKIPPED_RECORD = """
ALTER TABLE operator_decision DROP CONSTRAINT operator_decision_kind_check;
ALTER TABLE operator_decision ADD CONSTRAINT operator_decision_kind_check CHECK
    (kind IN ('discarded_message', 'discarded_publication', 'acknowledged_ghost', 'skipped_record'));
CREATE INDEX operator_decision_skipped ON operator_decision (topic, "partition", "offset")
    WHERE kind = 'skipped_record';
"""
BACK = """
DROP INDEX operator_decision_skipped;
DELETE FROM operator_decision WHERE kind = 'skipped_record';
ALTER TABLE operator_decision DROP CONSTRAINT operator_decision_kind_check;
ALTER TABLE operator_decision ADD CONSTRAINT operator_decision_kind_check CHECK
    (kind IN ('discarded_message', 'discarded_publication', 'acknowledged_ghost'));
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("chassis", "0012_ghost_version")]
    operations: ClassVar = [migrations.RunSQL(SKIPPED_RECORD, BACK)]
