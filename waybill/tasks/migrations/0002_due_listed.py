"""Indexes to find what is due for one event, and what is due first of all, however many rows there are."""

from typing import ClassVar

from django.db import migrations

INDEXES = {
    "waybill_due_task_event": "(event_id)",  # for a saga's story, and for why one waits
    "waybill_due_task_time": "(due_at, id)",  # for lists, and for what nobody attempts
    "waybill_due_task_failed": "(due_at, id) WHERE last_error IS NOT NULL",
}


def _add(name: str, columns: str) -> list[migrations.RunSQL]:
    """Return what builds an index while the table is written to; one that was cut off before is made anew."""
    drop = f"DROP INDEX CONCURRENTLY IF EXISTS {name}"
    create = f"CREATE INDEX CONCURRENTLY {name} ON waybill_due_task {columns}"
    return [migrations.RunSQL(drop, migrations.RunSQL.noop), migrations.RunSQL(create, drop)]


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("waybill_tasks", "0001_initial")]
    operations: ClassVar = [one for name, columns in INDEXES.items() for one in _add(name, columns)]
