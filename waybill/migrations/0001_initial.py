"""The outbox, its cursor, the ids of its schemas, what is due, and the answers kept for idempotency keys."""

from typing import ClassVar

from django.db import migrations

# GENERATED ALWAYS, increment 1 and cache 1: the relay's rule for missing positions relies on all three, because a
# session that hands out a position then always holds a lock on the table until it ends.
OUTBOX = """
CREATE TABLE outbox (
    position          bigint GENERATED ALWAYS AS IDENTITY (INCREMENT 1 CACHE 1) PRIMARY KEY,
    event_id          uuid NOT NULL UNIQUE,
    topic             text,
    aggregate_type    text NOT NULL,
    aggregate_id      text NOT NULL,
    aggregate_version integer NOT NULL CHECK (aggregate_version > 0),
    event_type        text NOT NULL,
    schema_version    integer NOT NULL,
    payload           bytea NOT NULL,
    metadata          jsonb NOT NULL,
    recorded_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT outbox_one_event_a_version UNIQUE (aggregate_type, aggregate_id, aggregate_version)
);
COMMENT ON COLUMN outbox.topic IS 'NULL: private, kept for the fold and never published';
COMMENT ON COLUMN outbox.aggregate_id IS 'the key of the record';

CREATE TABLE schema_id (
    event_type     text NOT NULL,
    schema_version integer NOT NULL,
    schema_id      integer NOT NULL,
    PRIMARY KEY (event_type, schema_version)
);

CREATE TABLE outbox_cursor (
    id                smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    position          bigint NOT NULL DEFAULT 0,
    missing           bigint[] NOT NULL DEFAULT '{}',
    system_identifier text,
    timeline          integer,
    leader            text,
    heartbeat_at      timestamptz,
    updated_at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN outbox_cursor.missing IS 'the gaps below the position: first, last, first, last, …';
INSERT INTO outbox_cursor DEFAULT VALUES;
"""

DUE = """
CREATE TABLE due (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task       text NOT NULL,
    event_id   uuid NOT NULL REFERENCES outbox (event_id),
    due_at     timestamptz NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    last_error text
);
CREATE INDEX due_next ON due (due_at);
"""

IDEMPOTENCY_KEY = """
CREATE TABLE idempotency_key (
    caller      text NOT NULL,
    path        text NOT NULL,
    key         text NOT NULL,
    fingerprint text NOT NULL,
    status      integer NOT NULL,
    headers     jsonb NOT NULL,
    body        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (caller, path, key)
);
CREATE INDEX idempotency_key_age ON idempotency_key (created_at);
"""

# Parked messages are few, and looked for by key before every batch.
PARKED = "CREATE INDEX received_parked ON received ((headers->>'key')) WHERE status = -1;"


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar = [("django_outbox_pattern", "0006_published_published_status_27c9ec_btree")]
    operations: ClassVar = [
        migrations.RunSQL(OUTBOX, "DROP TABLE outbox_cursor, schema_id, outbox"),
        migrations.RunSQL(DUE, "DROP TABLE due"),
        migrations.RunSQL(IDEMPOTENCY_KEY, "DROP TABLE idempotency_key"),
        migrations.RunSQL(PARKED, "DROP INDEX received_parked"),
    ]
