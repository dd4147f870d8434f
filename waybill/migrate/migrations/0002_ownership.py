"""Who owns the rows of a kind of aggregate, of two databases that hold them, and each time that changed."""

from typing import ClassVar

from django.db import migrations

# Without a row this side owns, as before the table was there.
TABLES = """
CREATE TABLE waybill_ownership (
    source      text PRIMARY KEY,
    is_owner    boolean NOT NULL,
    epoch       bigint NOT NULL,
    held_until  timestamptz,
    leaving     boolean NOT NULL DEFAULT false,
    changed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_by  text NOT NULL DEFAULT '',
    reason      text NOT NULL DEFAULT '',
    finished_at timestamptz
);
COMMENT ON TABLE waybill_ownership IS 'whether this side owns an aggregate''s rows; no row: it does';
COMMENT ON COLUMN waybill_ownership.epoch IS 'rises by one with each handover, the same on both sides';
COMMENT ON COLUMN waybill_ownership.held_until IS 'until then the gateway holds writes; past it the hold has lapsed';
COMMENT ON COLUMN waybill_ownership.leaving IS 'this side gave it up and the other has not said that it took it';
COMMENT ON COLUMN waybill_ownership.finished_at IS 'since then there is no way back, and nothing is applied here';

CREATE TABLE waybill_ownership_log (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source       text NOT NULL,
    epoch        bigint NOT NULL,
    direction    text NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    by           text NOT NULL DEFAULT '',
    reason       text NOT NULL DEFAULT '',
    hold_seconds double precision,
    result       text NOT NULL
);
COMMENT ON TABLE waybill_ownership_log IS 'one line for each change of ownership, and for each that was given up';

CREATE INDEX waybill_capture_state_appended ON waybill_capture_state (source, appended_at);
"""
DROP = """
DROP INDEX waybill_capture_state_appended;
DROP TABLE waybill_ownership_log, waybill_ownership;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("waybill_migrate", "0001_initial")]
    operations: ClassVar = [migrations.RunSQL(TABLES, DROP)]
