"""Rows of a table in and out, a batch at a time, by statements whose text does not change with the batch.

So PostgreSQL plans each once a session, and nothing is built anew: the ORM's own statements took half of a transaction.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import JSONField

from waybill.models import CopyRow

Model = Any  # a Django model: its fields say the rest


@dataclass(frozen=True, slots=True)
class _Table:
    """What is said about one table, and which of its columns hold JSON."""

    names: list[str]
    json_at: tuple[int, ...]
    select: str
    select_locked: str
    upsert: str


def load(model: Model, keys: Iterable[Any], *, lock: bool) -> list[Any]:
    """Return the rows with these primary keys, locked in the sequence of the keys where that is wanted."""
    table = _table(model)
    with connection.cursor() as cursor:
        cursor.execute(table.select_locked if lock else table.select, [list(keys)])
        found = [list(row) for row in cursor.fetchall()]
    for row in found:
        for n in table.json_at:
            row[n] = json.loads(row[n])
    return [model.from_db(connection.alias, table.names, row) for row in found]


def save(model: Model, rows: Sequence[Any]) -> None:
    """Insert the rows, or update those that are there; `created_at` stays what it was.

    A copy that is there is updated only by the same version of its source or a newer one.
    """
    with connection.cursor() as cursor:
        cursor.execute(*saving(model, rows))


def saving(model: Model, rows: Sequence[Any]) -> tuple[str, list[Any]]:
    """Return the statement that saves the rows, and its values."""
    table = _table(model)
    columns = [[getattr(row, name) for row in rows] for name in table.names]
    for n in table.json_at:
        columns[n] = [json.dumps(value) for value in columns[n]]
    return table.upsert, columns


@cache
def _table(model: Model) -> _Table:
    meta = model._meta  # noqa: SLF001 - how Django is asked for a model's fields
    fields, name, key = meta.concrete_fields, meta.db_table, meta.pk
    names = [field.attname for field in fields]
    columns = ", ".join(names)
    arrays = ", ".join(f"%s::{field.db_type(connection)}[]" for field in fields)
    changed = ", ".join(f"{c} = excluded.{c}" for c in names if c not in {key.attname, "created_at"})
    select = f"SELECT {columns} FROM {name} WHERE {key.attname} = ANY(%s::{key.db_type(connection)}[])"  # noqa: S608 - names of our own
    upsert = f"INSERT INTO {name} ({columns}) SELECT * FROM unnest({arrays}) "  # noqa: S608
    newer = f" WHERE {name}.source_version <= excluded.source_version" if issubclass(model, CopyRow) else ""
    return _Table(
        names,
        tuple(n for n, field in enumerate(fields) if isinstance(field, JSONField)),
        select,
        f"{select} ORDER BY {key.attname} FOR UPDATE",
        f"{upsert} ON CONFLICT ({key.attname}) DO UPDATE SET {changed}{newer}",
    )
