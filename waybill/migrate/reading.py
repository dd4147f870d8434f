"""Aggregates as they stand, each with its child rows in one statement, so that all of it is of one moment."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from waybill.migrate import tables
from waybill.migrate.mapping.building import Built

# What the text of dates and times depends on, and the isolation in which a later statement sees what was committed
# meanwhile, whatever the project's own settings are.
BEGIN: Final = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
AS_TEXT: Final = "SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, YMD', true)"

Row = tuple[Any, ...]


def begin(cursor: Any) -> None:
    """Prepare the transaction that was just begun for reading."""
    cursor.execute(BEGIN)
    cursor.execute(AS_TEXT)


def of_keys(cursor: Any, built: Built, keys: Sequence[str]) -> dict[str, Row]:
    """Return the rows of these keys; a key that is not there is gone."""
    key = tables.identifier(built.aggregate.key)
    cursor.execute(_literal(f"{_select(built)} WHERE p.{key} = ANY(") + f"%s::{built.key_type}[])", [list(keys)])
    return {row[0]: row for row in cursor.fetchall()}


def after(cursor: Any, built: Built, last: str | None, limit: int) -> list[Row]:
    """Return the next rows by the sequence of their keys."""
    key = tables.identifier(built.aggregate.key)
    where = "" if last is None else _literal(f" WHERE p.{key} > ") + f"%s::{built.key_type}"
    values = [limit] if last is None else [last, limit]
    cursor.execute(_literal(_select(built)) + where + _literal(f" ORDER BY p.{key}") + " LIMIT %s", values)
    return cursor.fetchall()


def everything(cursor: Any, built: Built, limit: int) -> Iterator[list[Row]]:
    """Yield all rows, in portions, each by a statement of its own."""
    last: str | None = None
    while rows := after(cursor, built, last, limit):
        yield rows
        last = rows[-1][0]


def _select(built: Built) -> str:
    return f"SELECT {', '.join(built.columns)} FROM {tables.identifier(built.aggregate.table)} AS p"  # noqa: S608 - quoted


def _literal(statement: str) -> str:
    return statement.replace("%", "%%")
