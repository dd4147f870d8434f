"""A narrow row for each dead letter, so that 200,000 of them are counted and paged in milliseconds; and redrive jobs."""

from typing import ClassVar

from django.db import migrations

# `received` and `published` keep what a dead letter is as JSON, some hundred bytes each: to group them, PostgreSQL reads
# all of it. An index on expressions does not help, since it is never read alone. So triggers keep what they are grouped
# and paged by in a table of its own. They fire for dead letters only, and as the table's owner: neither the service's
# role nor the relay's needs a right for it. The schema is the one of the table that fires, whatever the search path is.
DEAD_LETTERS = """
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
"""

# What came of each dead letter is written in the transaction that handles it, so that no crash makes it untrue.
JOBS = """
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
"""
BACK = """
DROP TABLE waybill_redrive_item, waybill_redrive_job;
DROP TRIGGER waybill_dead_letter_insert ON received;
DROP TRIGGER waybill_dead_letter_update ON received;
DROP TRIGGER waybill_dead_letter_delete ON received;
DROP TRIGGER waybill_dead_letter_insert ON published;
DROP TRIGGER waybill_dead_letter_update ON published;
DROP TRIGGER waybill_dead_letter_delete ON published;
DROP FUNCTION waybill_note_dead_letter;
DROP TABLE waybill_dead_letter;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("waybill_outbox", "0002_service")]
    operations: ClassVar = [migrations.RunSQL(DEAD_LETTERS + JOBS, BACK)]
