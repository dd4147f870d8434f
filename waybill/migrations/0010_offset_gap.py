"""Records that a topic no longer had when the consumer came to them."""

from typing import ClassVar

from django.db import migrations

OFFSET_GAP = """
CREATE TABLE offset_gap (
    topic           text NOT NULL,
    "partition"     integer NOT NULL,
    first_offset    bigint NOT NULL,
    last_offset     bigint NOT NULL,
    found_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    acknowledged_at timestamptz,
    PRIMARY KEY (topic, "partition", first_offset, last_offset)
);
COMMENT ON COLUMN offset_gap.acknowledged_at IS 'an operator has replayed what was missing, or does without it';
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("chassis", "0009_operator_decision")]
    operations: ClassVar = [migrations.RunSQL(OFFSET_GAP, "DROP TABLE offset_gap")]
