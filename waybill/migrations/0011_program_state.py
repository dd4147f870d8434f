"""What each program of the service last said of itself: its state, why it does not do its work, and its heartbeat."""

from typing import ClassVar

from django.db import migrations

# Half of each page is kept free, so that a heartbeat stays in its page and touches no index.
PROGRAM_STATE = """
CREATE TABLE program_state (
    program      text NOT NULL,
    instance     text NOT NULL,
    state        text NOT NULL CHECK (state IN ('leading', 'standby', 'working', 'waiting', 'stopped')),
    reason       text,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    since        timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (program, instance)
) WITH (fillfactor = 50);
COMMENT ON TABLE program_state IS 'what outbox status shows; a row without a heartbeat for an hour is removed';
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("chassis", "0010_offset_gap")]
    operations: ClassVar = [migrations.RunSQL(PROGRAM_STATE, "DROP TABLE program_state")]
