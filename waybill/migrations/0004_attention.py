"""When a due row was first attempted, what is known of its outcome, and whether an operator has to look."""

from typing import ClassVar

from django.db import migrations

# Rows that need attention are few, and counted every few seconds.
ATTENTION = """
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
"""
GONE = """
DROP INDEX due_attention, due_next;
CREATE INDEX due_next ON due (due_at);
ALTER TABLE due DROP COLUMN first_attempt_at, DROP COLUMN asked_in_vain, DROP COLUMN attention_since,
                DROP COLUMN way_out;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("chassis", "0003_known_event")]
    operations: ClassVar = [migrations.RunSQL(ATTENTION, GONE)]
