"""The queue of changed keys, what was appended of each, what was set aside, and how far the backfill is."""

from typing import ClassVar

from django.db import migrations

# The queue has no unique key: two writers of one aggregate would wait for each other there, and a key that a running
# program has just read would not be queued again.
TABLES = """
CREATE TABLE waybill_capture (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source    text NOT NULL,
    key       text,
    queued_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
COMMENT ON TABLE waybill_capture IS 'keys of changed aggregates, not yet read; one may stand here many times';
COMMENT ON COLUMN waybill_capture.key IS 'NULL: a table was truncated, look at every key that is known';

CREATE TABLE waybill_capture_state (
    source       text NOT NULL,
    key          text NOT NULL,
    aggregate_id text NOT NULL,
    digest       bytea,
    appended_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, key)
) WITH (fillfactor = 90);
CREATE INDEX waybill_capture_state_aggregate ON waybill_capture_state (source, aggregate_id);
COMMENT ON COLUMN waybill_capture_state.digest IS 'of the last event that was appended; NULL: its deletion was';

CREATE TABLE waybill_capture_held (
    source  text NOT NULL,
    key     text NOT NULL,
    reason  text NOT NULL,
    held_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, key)
);
COMMENT ON TABLE waybill_capture_held IS 'keys whose aggregate the mapping refuses; the rest goes on without them';

CREATE TABLE waybill_backfill (
    source      text PRIMARY KEY,
    position    text,
    queued      bigint NOT NULL DEFAULT 0,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);
COMMENT ON COLUMN waybill_backfill.position IS 'the last key that was queued';
"""
DROP = "DROP TABLE waybill_backfill, waybill_capture_held, waybill_capture_state, waybill_capture"


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar = [("waybill_outbox", "0004_partitions")]
    operations: ClassVar = [migrations.RunSQL(TABLES, DROP)]
