-- python -m waybill outbox-sql tables reviews

-- Step 0000_dead_letters

CREATE TABLE published (
    id          uuid PRIMARY KEY,
    version     varchar(100),
    destination varchar(255) NOT NULL,
    body        jsonb NOT NULL,
    added       timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    retry       integer NOT NULL CHECK (retry >= 0),
    status      integer NOT NULL,
    headers     jsonb NOT NULL
);
CREATE INDEX published_added ON published (added);
CREATE INDEX published_status_27c9ec_btree ON published (status);

CREATE TABLE received (
    id         uuid PRIMARY KEY,
    headers    jsonb,
    body       jsonb,
    added      timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    retry      integer NOT NULL CHECK (retry >= 0),
    status     integer NOT NULL,
    msg_id     varchar(100) UNIQUE
);
CREATE INDEX received_added ON received (added);

-- Step 0001_initial

CREATE TABLE waybill_outbox (
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
    CONSTRAINT waybill_outbox_one_event_a_version UNIQUE (aggregate_type, aggregate_id, aggregate_version)
);
COMMENT ON COLUMN waybill_outbox.topic IS 'NULL: private, kept for the fold and never published';
COMMENT ON COLUMN waybill_outbox.aggregate_id IS 'the key of the record';

CREATE TABLE waybill_outbox_cursor (
    id                smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    position          bigint NOT NULL DEFAULT 0,
    missing           bigint[] NOT NULL DEFAULT '{}',
    system_identifier text,
    timeline          integer,
    leader            text,
    heartbeat_at      timestamptz,
    updated_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    known_event_id    uuid
);
COMMENT ON COLUMN waybill_outbox_cursor.missing IS 'the gaps below the position: first, last, first, last, …';
COMMENT ON COLUMN waybill_outbox_cursor.known_event_id IS
    'an event that was passed: where it is gone, the outbox was truncated or replaced';
INSERT INTO waybill_outbox_cursor DEFAULT VALUES;

CREATE TABLE waybill_schema_id (
    event_type     text NOT NULL,
    schema_version integer NOT NULL,
    schema_id      integer NOT NULL PRIMARY KEY,
    schema         text,
    current        boolean NOT NULL DEFAULT true
);
CREATE UNIQUE INDEX waybill_schema_id_current ON waybill_schema_id (event_type, schema_version) WHERE current;
COMMENT ON COLUMN waybill_schema_id.schema IS 'as registered; NULL until the schemas are registered again';
COMMENT ON COLUMN waybill_schema_id.current IS 'records are written with this id; with any other they can be read';

CREATE TABLE waybill_relay_pause (
    id        smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    paused_by text NOT NULL,
    reason    text NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE waybill_relay_pause IS 'a row: the relay publishes nothing until it is gone';

CREATE TABLE waybill_replay_job (
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
    finished_at timestamptz,
    abandoned   boolean NOT NULL DEFAULT false
);
COMMENT ON COLUMN waybill_replay_job.position IS 'every chosen event up to here was acknowledged by the broker';
COMMENT ON COLUMN waybill_replay_job.rate IS 'events a second at most; NULL: as fast as the broker takes them';
COMMENT ON COLUMN waybill_replay_job.abandoned IS 'an operator gave it up; what was sent until then stays sent';

CREATE TABLE waybill_operator_action (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operator text NOT NULL,
    verb     text NOT NULL,
    reason   text NOT NULL,
    what     jsonb NOT NULL,
    acted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE waybill_operator_decision (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text NOT NULL CHECK
        (kind IN ('discarded_message', 'discarded_publication', 'acknowledged_ghost', 'skipped_record')),
    event_id   uuid,
    event_type text,
    topic      text NOT NULL,
    "partition" integer,
    "offset"   bigint,
    key        text NOT NULL,
    reason     text,
    action_id  bigint NOT NULL REFERENCES waybill_operator_action,
    version    integer
);
CREATE INDEX waybill_operator_decision_event ON waybill_operator_decision (event_id);
CREATE INDEX waybill_operator_decision_skipped ON waybill_operator_decision (topic, "partition", "offset")
    WHERE kind = 'skipped_record';
COMMENT ON TABLE waybill_operator_decision IS 'outbox verify counts these apart and does not fail for them';

CREATE TABLE waybill_program_state (
    program      text NOT NULL,
    instance     text NOT NULL,
    state        text NOT NULL CHECK (state IN ('leading', 'standby', 'working', 'waiting', 'stopped')),
    reason       text,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    since        timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (program, instance)
) WITH (fillfactor = 50);
COMMENT ON TABLE waybill_program_state IS 'what outbox status shows; a row without a heartbeat for an hour is removed';

CREATE TABLE waybill_verified_position (
    id          smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    position    bigint NOT NULL,
    verified_by text NOT NULL,
    verified_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE waybill_verified_position IS 'outbox verify found nothing up to the position';

-- Step 0002_service

CREATE TABLE waybill_service (
    id              smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    name            text NOT NULL,
    settings_module text,
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE waybill_service IS 'whose database this is; written by migrate and by the consumer';
COMMENT ON COLUMN waybill_service.name IS 'its consumer group, and the last part of its records'' ce_source';
COMMENT ON COLUMN waybill_service.settings_module IS 'of a Django project; NULL: `python -m waybill NAME` runs it';

-- Step 0003_dead_letters

CREATE TABLE waybill_dead_letter (
    row_id           uuid PRIMARY KEY,
    kind             text NOT NULL CHECK (kind IN ('publication', 'message')),
    ordering_key     text NOT NULL,
    topic            text NOT NULL,
    key              text NOT NULL,
    event_type       text NOT NULL,
    reason_class     text NOT NULL,
    dead_lettered_at timestamptz NOT NULL
);
CREATE INDEX waybill_dead_letter_group
    ON waybill_dead_letter (kind, reason_class, event_type, dead_lettered_at, row_id);
CREATE INDEX waybill_dead_letter_key
    ON waybill_dead_letter (kind, ordering_key) INCLUDE (reason_class, event_type, dead_lettered_at);
CREATE INDEX waybill_dead_letter_time ON waybill_dead_letter (dead_lettered_at, row_id);
COMMENT ON TABLE waybill_dead_letter IS 'written by triggers on published and received; row_id is the row''s id there';
COMMENT ON COLUMN waybill_dead_letter.reason_class IS
    'the exception''s name or the broker''s refusal; behind: it waits for an earlier one of its key; redriven: not sent yet';

CREATE OR REPLACE FUNCTION waybill_note_dead_letter() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    letter record;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        EXECUTE format('DELETE FROM %I.waybill_dead_letter WHERE row_id = $1', TG_TABLE_SCHEMA) USING OLD.id;
    END IF;
    IF TG_OP = 'DELETE' OR (TG_TABLE_NAME = 'received' AND NEW.status <> -1) OR NEW.status = 2 THEN
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'received' THEN
        SELECT 'message' AS kind, NEW.headers->>'topic' AS topic, NEW.headers->>'key' AS key,
               concat(NEW.headers->>'topic', ' ', NEW.headers->>'key') AS ordering_key,
               NEW.headers->'record'->>'ce_type' AS event_type,
               CASE WHEN NEW.headers->>'reason' LIKE 'behind %' THEN 'behind'
                    ELSE split_part(NEW.headers->>'reason', ':', 1) END AS reason_class INTO letter;
    ELSE
        SELECT 'publication' AS kind, NEW.destination AS topic, NEW.body->>'aggregate_id' AS key,
               concat(NEW.body->>'aggregate_type', '/', NEW.body->>'aggregate_id') AS ordering_key,
               NEW.body->>'event_type' AS event_type,
               CASE WHEN NEW.status = 1 THEN 'redriven' ELSE NEW.headers->>'reason' END AS reason_class INTO letter;
    END IF;
    -- Cut: what is longer than an index takes must not keep a dead letter from being kept.
    EXECUTE format('INSERT INTO %I.waybill_dead_letter VALUES ($1, $2, $3, $4, $5, $6, $7, $8)', TG_TABLE_SCHEMA)
    USING NEW.id, letter.kind,
          left(letter.ordering_key, 500)
              || CASE WHEN length(letter.ordering_key) > 500 THEN md5(letter.ordering_key) ELSE '' END,
          left(coalesce(letter.topic, ''), 250), left(coalesce(letter.key, ''), 500),
          left(coalesce(letter.event_type, ''), 250), left(coalesce(letter.reason_class, ''), 100), NEW.added;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER waybill_dead_letter_insert AFTER INSERT ON received
    FOR EACH ROW WHEN (NEW.status = -1) EXECUTE FUNCTION waybill_note_dead_letter();
CREATE OR REPLACE TRIGGER waybill_dead_letter_update AFTER UPDATE ON received
    FOR EACH ROW WHEN (OLD.status = -1 OR NEW.status = -1) EXECUTE FUNCTION waybill_note_dead_letter();
CREATE OR REPLACE TRIGGER waybill_dead_letter_delete AFTER DELETE ON received
    FOR EACH ROW WHEN (OLD.status = -1) EXECUTE FUNCTION waybill_note_dead_letter();
CREATE OR REPLACE TRIGGER waybill_dead_letter_insert AFTER INSERT ON published
    FOR EACH ROW WHEN (NEW.status <> 2) EXECUTE FUNCTION waybill_note_dead_letter();
CREATE OR REPLACE TRIGGER waybill_dead_letter_update AFTER UPDATE ON published
    FOR EACH ROW WHEN (OLD.status <> 2 OR NEW.status <> 2) EXECUTE FUNCTION waybill_note_dead_letter();
CREATE OR REPLACE TRIGGER waybill_dead_letter_delete AFTER DELETE ON published
    FOR EACH ROW WHEN (OLD.status <> 2) EXECUTE FUNCTION waybill_note_dead_letter();

-- Those that are there already: rewritten as they are, which fires the triggers.
UPDATE received SET status = status WHERE status = -1;
UPDATE published SET status = status WHERE status <> 2;

CREATE TABLE waybill_redrive_job (
    id          uuid PRIMARY KEY,
    chosen      jsonb NOT NULL,
    rate        integer CHECK (rate > 0),
    total       bigint NOT NULL,
    handled     bigint NOT NULL DEFAULT 0,
    ignored     bigint NOT NULL DEFAULT 0,
    failed      bigint NOT NULL DEFAULT 0,
    behind      bigint NOT NULL DEFAULT 0,
    gone        bigint NOT NULL DEFAULT 0,
    created_by  text NOT NULL,
    reason      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    abandoned   boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);
COMMENT ON COLUMN waybill_redrive_job.rate IS 'dead letters a second at most; NULL: no limit';
COMMENT ON COLUMN waybill_redrive_job.gone IS 'discarded, or redriven by somebody else, before the job came to them';

CREATE TABLE waybill_redrive_item (
    job_id      uuid NOT NULL REFERENCES waybill_redrive_job ON DELETE CASCADE,
    row_id      uuid NOT NULL,
    kind        text NOT NULL,
    topic       text NOT NULL,
    key         text NOT NULL,
    place       text NOT NULL,
    event_type  text,
    released_at timestamptz,
    outcome     text CHECK (outcome IN ('handled', 'ignored', 'failed', 'behind', 'gone')),
    detail      text,
    PRIMARY KEY (job_id, row_id)
);
CREATE INDEX waybill_redrive_item_outcome ON waybill_redrive_item (job_id, outcome, row_id);
COMMENT ON COLUMN waybill_redrive_item.released_at IS 'of a publication: since when the relay may send it';
COMMENT ON COLUMN waybill_redrive_item.outcome IS 'NULL: not tried yet';

-- Step 0004_partitions

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

INSERT INTO waybill_service (name, settings_module) VALUES ('reviews', '')
ON CONFLICT (id) DO UPDATE SET name = excluded.name, settings_module = excluded.settings_module;
