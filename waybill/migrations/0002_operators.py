"""What operators leave behind: a pause of the relay, replays, and who did what and why."""

from typing import ClassVar

from django.db import migrations

RELAY_PAUSE = """
CREATE TABLE relay_pause (
    id        smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    paused_by text NOT NULL,
    reason    text NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE relay_pause IS 'a row: the relay publishes nothing until it is gone';
"""

# What is chosen is fixed when the job is made: the filter, and the positions that it may reach.
REPLAY_JOB = """
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
"""

OPERATOR_ACTION = """
CREATE TABLE operator_action (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operator text NOT NULL,
    verb     text NOT NULL,
    reason   text NOT NULL,
    what     jsonb NOT NULL,
    acted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("chassis", "0001_initial")]
    operations: ClassVar = [
        migrations.RunSQL(RELAY_PAUSE, "DROP TABLE relay_pause"),
        migrations.RunSQL(REPLAY_JOB, "DROP TABLE replay_job"),
        migrations.RunSQL(OPERATOR_ACTION, "DROP TABLE operator_action"),
    ]
