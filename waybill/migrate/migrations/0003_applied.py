"""The version of an aggregate's last event, told here or applied here: the next one has the version after it."""

from typing import ClassVar

from django.db import migrations

COLUMN = """
ALTER TABLE waybill_capture_state ADD version integer;
COMMENT ON COLUMN waybill_capture_state.version IS 'of the last event, appended here or applied here; NULL: not known';
COMMENT ON COLUMN waybill_capture_state.digest IS 'of the last event, appended or applied; NULL: that was a deletion';
"""
DROP = "ALTER TABLE waybill_capture_state DROP version"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("waybill_migrate", "0002_ownership")]
    operations: ClassVar = [migrations.RunSQL(COLUMN, DROP)]
