"""What operators have decided for good: dead letters that were discarded, records without an event that are known."""

from typing import ClassVar

from django.db import migrations

# `event_id` is NULL where the record names none; `partition` and `offset` are NULL for a publication, which never
# reached its topic; `reason` is why it was a dead letter, and why an operator decided so stands in `operator_action`.
OPERATOR_DECISION = """
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
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("chassis", "0008_due_attempted")]
    operations: ClassVar = [migrations.RunSQL(OPERATOR_DECISION, "DROP TABLE operator_decision")]
