"""What the consumer keeps beside its inbox: dead letters by key, how far it has read, and what it never saw."""

from typing import ClassVar

from django.db import migrations

from waybill.database.adoption import CreateOrRename

# Dead letters are few, and looked for by key before every batch. A third of each page of positions is kept free: a row
# is written once a second. `last_offset` is NULL where nobody can know it.
CREATE = """
CREATE INDEX received_parked ON received ((headers->>'key')) WHERE status = -1;

CREATE TABLE waybill_consumer_position (
    topic       text NOT NULL,
    "partition" integer NOT NULL,
    next_offset bigint NOT NULL,
    topic_id    text,
    read_until  timestamptz,
    PRIMARY KEY (topic, "partition")
) WITH (fillfactor = 70);

CREATE TABLE waybill_offset_gap (
    topic           text NOT NULL,
    "partition"     integer NOT NULL,
    first_offset    bigint NOT NULL,
    last_offset     bigint,
    found_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    acknowledged_at timestamptz,
    read_until      timestamptz,
    awaited         uuid[],
    filled_at       timestamptz,
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
CREATE UNIQUE INDEX waybill_offset_gap_open ON waybill_offset_gap (topic, "partition", first_offset)
    WHERE acknowledged_at IS NULL AND filled_at IS NULL;
COMMENT ON COLUMN waybill_offset_gap.acknowledged_at IS
    'an operator has replayed what was missing, or does without it';
COMMENT ON COLUMN waybill_offset_gap.awaited IS 'the events that a replay sends to fill it, the newest first';
"""
DROP = """
DROP TABLE waybill_consumer_position, waybill_offset_gap;
DROP INDEX received_parked;
"""
TABLES = {"consumer_position": "waybill_consumer_position", "offset_gap": "waybill_offset_gap"}


class Migration(migrations.Migration):
    initial = True
    lint_allowed: ClassVar = {"require-concurrent-index-creation": "`received` is made in the same run, and empty"}
    dependencies: ClassVar = [("django_outbox_pattern", "0006_published_published_status_27c9ec_btree")]
    operations: ClassVar = [CreateOrRename(CREATE, DROP, TABLES)]
