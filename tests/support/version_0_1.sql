-- The tables of version 0.1, as its migrations left them (app `chassis`, up to 0015_verified).

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
CREATE TABLE due (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task       text NOT NULL,
    event_id   uuid NOT NULL REFERENCES outbox (event_id),
    due_at     timestamptz NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    last_error text
);
CREATE INDEX due_next ON due (due_at);
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
CREATE INDEX received_parked ON received ((headers->>'key')) WHERE status = -1;
CREATE TABLE relay_pause (
    id        smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    paused_by text NOT NULL,
    reason    text NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE relay_pause IS 'a row: the relay publishes nothing until it is gone';
CREATE TABLE replay_job (
    id          uuid PRIMARY KEY,
    chosen      jsonb NOT NULL,
    to_consumer text,
    reprocess   boolean NOT NULL DEFAULT false,
    rate        integer CHECK (rate > 0),
    first       bigint NOT NULL,
    last        bigint NOT NULL,
    total       bigint NOT NULL,
    sent        bigint NOT NULL DEFAULT 0,
    position    bigint NOT NULL DEFAULT 0,
    created_by  text NOT NULL,
    reason      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);
COMMENT ON COLUMN replay_job.position IS 'every chosen event up to here was acknowledged by the broker';
COMMENT ON COLUMN replay_job.rate IS 'events a second at most; NULL: as fast as the broker takes them';
CREATE TABLE operator_action (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operator text NOT NULL,
    verb     text NOT NULL,
    reason   text NOT NULL,
    what     jsonb NOT NULL,
    acted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE outbox_cursor ADD COLUMN known_event_id uuid;
COMMENT ON COLUMN outbox_cursor.known_event_id IS
    'an event that was passed: where it is gone, the outbox was truncated or replaced';
ALTER TABLE due ADD COLUMN first_attempt_at timestamptz,
                ADD COLUMN asked_in_vain boolean NOT NULL DEFAULT false,
                ADD COLUMN attention_since timestamptz,
                ADD COLUMN way_out text;
COMMENT ON COLUMN due.asked_in_vain IS 'asking again would tell nothing new: look up what came of it';
COMMENT ON COLUMN due.attention_since IS 'an operator has to look since then; NULL: it goes on by itself';
COMMENT ON COLUMN due.way_out IS 'what that operator can do';
DROP INDEX due_next;
CREATE INDEX due_next ON due (task, due_at);
CREATE INDEX due_attention ON due (task, attention_since) WHERE attention_since IS NOT NULL;
ALTER TABLE schema_id ADD COLUMN schema text;
COMMENT ON COLUMN schema_id.schema IS 'as registered; NULL until `python -m schemas register` has run again';
ALTER TABLE replay_job ADD COLUMN abandoned boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN replay_job.abandoned IS 'an operator gave it up; what was sent until then stays sent';
ALTER TABLE schema_id ADD COLUMN current boolean NOT NULL DEFAULT true,
                      DROP CONSTRAINT schema_id_pkey,
                      ADD PRIMARY KEY (schema_id);
CREATE UNIQUE INDEX schema_id_current ON schema_id (event_type, schema_version) WHERE current;
COMMENT ON COLUMN schema_id.current IS 'records are written with this id; with any other they can be read';
CREATE INDEX due_attempted ON due (task, first_attempt_at) WHERE first_attempt_at IS NOT NULL;
CREATE TABLE operator_decision (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text NOT NULL CHECK (kind IN ('discarded_message', 'discarded_publication', 'acknowledged_ghost')),
    event_id   uuid,
    event_type text,
    topic      text NOT NULL,
    "partition" integer,
    "offset"   bigint,
    key        text NOT NULL,
    reason     text,
    action_id  bigint NOT NULL REFERENCES operator_action
);
CREATE INDEX operator_decision_event ON operator_decision (event_id);
COMMENT ON TABLE operator_decision IS 'outbox verify counts these apart and does not fail for them';
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
ALTER TABLE operator_decision ADD COLUMN version integer;
ALTER TABLE operator_decision DROP CONSTRAINT operator_decision_kind_check;
ALTER TABLE operator_decision ADD CONSTRAINT operator_decision_kind_check CHECK
    (kind IN ('discarded_message', 'discarded_publication', 'acknowledged_ghost', 'skipped_record'));
CREATE INDEX operator_decision_skipped ON operator_decision (topic, "partition", "offset")
    WHERE kind = 'skipped_record';
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
CREATE TABLE verified (
    id          smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    position    bigint NOT NULL,
    verified_by text NOT NULL,
    verified_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE verified IS 'outbox verify found nothing up to the position';
