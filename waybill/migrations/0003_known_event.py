"""What the relay knows an outbox again by."""

from typing import ClassVar

from django.db import migrations

KNOWN_EVENT = """
ALTER TABLE outbox_cursor ADD COLUMN known_event_id uuid;
COMMENT ON COLUMN outbox_cursor.known_event_id IS
    'an event that was passed: where it is gone, the outbox was truncated or replaced';
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("chassis", "0002_operators")]
    operations: ClassVar = [
        migrations.RunSQL(KNOWN_EVENT, "ALTER TABLE outbox_cursor DROP COLUMN known_event_id"),
    ]
