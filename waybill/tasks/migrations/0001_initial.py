"""What is due, each row for one event of the outbox."""

from typing import ClassVar

from django.db import migrations, models

from waybill.database.adoption import CreateOrRename

# Rows that need attention are few, and counted every few seconds; so are those that were attempted.
CREATE = """
CREATE TABLE waybill_due_task (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task             text NOT NULL,
    event_id         uuid NOT NULL REFERENCES waybill_outbox (event_id),
    due_at           timestamptz NOT NULL,
    attempts         integer NOT NULL DEFAULT 0,
    last_error       text,
    first_attempt_at timestamptz,
    asked_in_vain    boolean NOT NULL DEFAULT false,
    attention_since  timestamptz,
    way_out          text
);
CREATE INDEX waybill_due_task_next ON waybill_due_task (task, due_at);
CREATE INDEX waybill_due_task_attention ON waybill_due_task (task, attention_since)
    WHERE attention_since IS NOT NULL;
CREATE INDEX waybill_due_task_attempted ON waybill_due_task (task, first_attempt_at)
    WHERE first_attempt_at IS NOT NULL;
COMMENT ON COLUMN waybill_due_task.asked_in_vain IS 'asking again would tell nothing new: look up what came of it';
COMMENT ON COLUMN waybill_due_task.attention_since IS 'an operator has to look since then; NULL: it goes on by itself';
COMMENT ON COLUMN waybill_due_task.way_out IS 'what that operator can do';
"""


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar = [("waybill_outbox", "0001_initial")]
    operations: ClassVar = [
        CreateOrRename(CREATE, "DROP TABLE waybill_due_task", {"due": "waybill_due_task"}),
        migrations.CreateModel(
            name="DueTask",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("task", models.TextField()),
                ("event_id", models.UUIDField()),
                ("due_at", models.DateTimeField()),
                ("attempts", models.IntegerField()),
                ("last_error", models.TextField(null=True)),
                ("first_attempt_at", models.DateTimeField(null=True)),
                ("attention_since", models.DateTimeField(null=True)),
                ("remediation", models.TextField(db_column="way_out", null=True)),
            ],
            options={
                "db_table": "waybill_due_task",
                "managed": False,
                "verbose_name": "due task",
                "ordering": ["due_at"],
            },
        ),
    ]
