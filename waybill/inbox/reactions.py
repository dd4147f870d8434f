"""What the running release of a service reacts to, recorded in its own database.

The `outbox` command must know it: `verify` asks the inbox only for what was to be received, and `replay` refuses what
an inbox has forgotten and would apply a second time. It has the service's database and not its code. So `migrate`
records it, and each consumer at its start. What a release no longer reacts to is marked and kept: while releases run
side by side, a consumer of the one before may still apply it.
"""

from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, connection, transaction

from waybill.consumer.subscriber import Subscriber
from waybill.inbox import handlers
from waybill.outbox import service_name

THERE: Final = "SELECT to_regclass('waybill_reaction') IS NOT NULL AND to_regclass('waybill_service') IS NOT NULL"
# First, so that two programs that start at once record one after the other.
RECORDED: Final = """
INSERT INTO waybill_reactions_recorded DEFAULT VALUES ON CONFLICT (id) DO UPDATE SET recorded_at = clock_timestamp()
"""
# Kept and marked: a consumer of the release before may still apply it.
REMOVED: Final = """
UPDATE waybill_reaction SET removed_at = clock_timestamp() WHERE removed_at IS NULL AND event_type <> ALL(%s::text[])
"""
# A reaction that comes back, as in a rollback of a release, is present again.
PRESENT: Final = """
INSERT INTO waybill_reaction (event_type, topic) SELECT * FROM unnest(%s::text[], %s::text[])
ON CONFLICT (event_type) DO UPDATE SET topic = excluded.topic, removed_at = NULL
"""
# Under the name that the service itself uses; an older schema has no such table yet.
KINDS_THERE: Final = "SELECT to_regclass('waybill_aggregate_kind') IS NOT NULL"
FORMER_KINDS: Final = "DELETE FROM waybill_aggregate_kind WHERE aggregate_type <> ALL(%s::text[])"
KIND: Final = """
INSERT INTO waybill_aggregate_kind (aggregate_type, table_name, key_column, end_statuses) VALUES (%s, %s, %s, %s)
ON CONFLICT (aggregate_type) DO UPDATE
    SET table_name = excluded.table_name, key_column = excluded.key_column, end_statuses = excluded.end_statuses
"""


def record(subscriber: Subscriber) -> None:
    """Record what the subscriber reacts to, and its name. Raises what the database raises."""
    topic_of = {name: event.topic for name, (event, _) in subscriber.reaction_to.items() if event.topic}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(RECORDED)
        cursor.execute(REMOVED, [list(topic_of)])
        cursor.execute(PRESENT, [list(topic_of), list(topic_of.values())])
        _record_kinds(cursor, subscriber)
    service_name.record(subscriber.name)


def _record_kinds(cursor: Any, subscriber: Subscriber) -> None:
    """Record where rows of aggregates are: `outbox partitions` drops no event of one that has not ended."""
    cursor.execute(KINDS_THERE)
    if cursor.fetchone() != (True,):
        return
    cursor.execute(FORMER_KINDS, [list(subscriber.tables)])
    for kind, model in subscriber.tables.items():
        meta = model._meta  # noqa: SLF001 - how Django is asked for a model's table
        cursor.execute(KIND, [kind, meta.db_table, meta.pk.column, list(map(str, model.end_statuses))])


def record_migrated(*, using: str, **_: Any) -> None:
    """Record the project's handlers once its inbox is migrated; for Django's signal `post_migrate`."""
    name = service_name.own_name()
    if name is None or using != DEFAULT_DB_ALIAS:
        return
    with connection.cursor() as cursor:
        cursor.execute(THERE)
        (there,) = cursor.fetchone()
    if there:  # else it was migrated backwards
        record(handlers.discover(name))
