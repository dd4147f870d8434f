"""How far each partition was read, and what fills a gap in it."""

from typing import ClassVar

from django.db import migrations

# `last_offset` is NULL where nobody can know it. A third of each page is kept free: a row is written once a second.
CONSUMER_POSITION = """
CREATE TABLE consumer_position (
    topic       text NOT NULL,
    "partition" integer NOT NULL,
    next_offset bigint NOT NULL,
    topic_id    text,
    read_until  timestamptz,
    PRIMARY KEY (topic, "partition")
) WITH (fillfactor = 70);
ALTER TABLE offset_gap
    DROP CONSTRAINT offset_gap_pkey,
    ALTER COLUMN last_offset DROP NOT NULL,
    ADD COLUMN read_until timestamptz,
    ADD COLUMN awaited uuid[],
    ADD COLUMN filled_at timestamptz,
    ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
CREATE UNIQUE INDEX offset_gap_open ON offset_gap (topic, "partition", first_offset)
    WHERE acknowledged_at IS NULL AND filled_at IS NULL;
COMMENT ON COLUMN offset_gap.awaited IS 'the events that a replay sends to fill it, the newest first';
"""
BACK = """
DROP TABLE consumer_position;
DROP INDEX offset_gap_open;
UPDATE offset_gap SET last_offset = first_offset WHERE last_offset IS NULL;
ALTER TABLE offset_gap
    DROP COLUMN id, DROP COLUMN read_until, DROP COLUMN awaited, DROP COLUMN filled_at,
    ALTER COLUMN last_offset SET NOT NULL,
    ADD PRIMARY KEY (topic, "partition", first_offset, last_offset);
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("chassis", "0013_skipped_record")]
    operations: ClassVar = [migrations.RunSQL(CONSUMER_POSITION, BACK)]
