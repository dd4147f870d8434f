"""Rows of aggregates that ended long ago, and that are kept for a time only. Their events stay in the outbox."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from django.db import connection
from psycopg import sql

from waybill.models import AggregateRow

# Whoever holds a row's lock is about to move it. No index: the table has what is kept alone, and is read once an hour.
FORGET: Final = """
DELETE FROM {table} WHERE {key} IN (
    SELECT {key} FROM {table} WHERE status = ANY (%s) AND updated_at < clock_timestamp() - make_interval(secs => %s)
    LIMIT %s FOR UPDATE SKIP LOCKED)
"""


def forget(models: Iterable[type[AggregateRow]], at_most: int) -> dict[str, int]:
    """Remove rows that are older than they are kept, so many of each kind; returns how many by aggregate type."""
    kept = {model: model.kept() for model in models}
    return {model.aggregate_type: _forget(model, time, at_most) for model, time in kept.items() if time is not None}


def _forget(model: Any, kept: timedelta, at_most: int) -> int:
    meta = model._meta  # noqa: SLF001 - how Django is asked for a model's table
    named = {"table": sql.Identifier(meta.db_table), "key": sql.Identifier(meta.pk.column)}
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(FORGET).format(**named),  # type: ignore[arg-type]
            [list(map(str, model.end_statuses)), kept.total_seconds(), at_most],
        )
        return cursor.rowcount
