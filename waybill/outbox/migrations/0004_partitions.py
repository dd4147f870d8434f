"""What a partitioned log needs: the last version of each aggregate, what was archived, and which aggregates can end.

The log itself stays as it is until `outbox partitions adopt`; then a trigger keeps `waybill_aggregate_version`.
"""

from typing import ClassVar

from django.db import migrations

# A fifth of each page is kept free, so that the next version stays in its page and touches no index.
PARTITIONS = """
CREATE TABLE waybill_aggregate_version (
    aggregate_id   text NOT NULL,
    aggregate_type text NOT NULL,
    version        integer NOT NULL,
    appended       integer NOT NULL,
    archived       integer NOT NULL DEFAULT 0,
    PRIMARY KEY (aggregate_id, aggregate_type)
) WITH (fillfactor = 80);
COMMENT ON TABLE waybill_aggregate_version IS
    'written by a trigger while waybill_outbox is partitioned; without it, empty';
COMMENT ON COLUMN waybill_aggregate_version.appended IS 'how many versions the last statement wrote';
COMMENT ON COLUMN waybill_aggregate_version.archived IS 'every version up to here is archived, and may be dropped';

CREATE TABLE waybill_outbox_archive (
    first       bigint PRIMARY KEY,
    last        bigint NOT NULL,
    events      bigint NOT NULL,
    oldest      timestamptz,
    newest      timestamptz,
    "partition" text NOT NULL,
    file        text NOT NULL,
    sha256      text NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    dropped_at  timestamptz,
    action_id   bigint NOT NULL REFERENCES waybill_operator_action
);
COMMENT ON TABLE waybill_outbox_archive IS
    'positions first..last of the log stand in a file; dropped_at: and there alone';

CREATE TABLE waybill_aggregate_kind (
    aggregate_type text PRIMARY KEY,
    table_name     text NOT NULL,
    key_column     text NOT NULL,
    end_statuses   text[] NOT NULL
);
COMMENT ON TABLE waybill_aggregate_kind IS 'where the rows of aggregates are, and in which status one has ended';
"""
BACK = "DROP TABLE waybill_aggregate_kind, waybill_outbox_archive, waybill_aggregate_version"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("waybill_outbox", "0003_dead_letters")]
    operations: ClassVar = [migrations.RunSQL(PARTITIONS, BACK)]
