"""What the service reacts to, so that programs without its code can know."""

from typing import ClassVar

from django.db import migrations

# Two tables, so that a service which reacts to nothing differs from one that has not recorded what it reacts to.
REACTIONS = """
CREATE TABLE waybill_reaction (
    event_type text PRIMARY KEY,
    topic      text NOT NULL,
    removed_at timestamptz
);
CREATE TABLE waybill_reactions_recorded (
    id          smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE waybill_reaction IS 'event types that the running release reacts to; written by migrate and by the consumer';
COMMENT ON COLUMN waybill_reaction.removed_at IS 'when a release that has no such reaction any more was started';
COMMENT ON TABLE waybill_reactions_recorded IS 'when waybill_reaction was last written; no row: never, and nobody may rely on it';
"""
BACK = "DROP TABLE waybill_reaction, waybill_reactions_recorded"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("waybill_inbox", "0001_initial")]
    operations: ClassVar = [migrations.RunSQL(REACTIONS, BACK)]
