"""Keys that a table generates go on behind those that the other side has generated."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, LiteralString, cast

import psycopg
from psycopg import sql

from waybill.migrate import tables
from waybill.migrate.mapping.document import Aggregate

OF: Final = """
SELECT pg_get_serial_sequence(i.indrelid::regclass::text, a.attname), a.attname
FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = to_regclass(%s) AND i.indisprimary
"""
AT: Final = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {}"
ADVANCE: Final = """
SELECT setval(%s::regclass, greatest(%s, (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}),
    (SELECT max({key}) FROM {table})))
WHERE greatest(%s, (SELECT max({key}) FROM {table})) > 0
"""


def counterparts(aggregate: Aggregate) -> Iterator[tuple[str, str]]:
    """Yield each table with the one that has its rows on the other side."""
    service = aggregate.service
    if service is None:
        return
    yield aggregate.table, service.table
    for name, child in aggregate.children.items():
        if name in service.children:
            yield child.table, service.children[name].table


def advance(here: psycopg.Connection[Any], there: psycopg.Connection[Any], pairs: Sequence[tuple[str, str]]) -> None:
    """Advance those there past those here, and past the keys that are there; none is ever set back."""
    for ours, theirs in pairs:
        sequence, column = _sequence(there, theirs)
        if sequence is None:
            continue
        own, _ = _sequence(here, ours)
        reached = 0 if own is None else _one(here, sql.SQL(AT).format(_named(own)))
        names = {
            "sequence": _named(sequence),
            "key": sql.Identifier(column),
            "table": _named(tables.identifier(theirs)),
        }
        there.execute(sql.SQL(ADVANCE).format(**names), [sequence, reached, reached])


def _sequence(session: psycopg.Connection[Any], table: str) -> tuple[str | None, str]:
    found = session.execute(OF, [tables.identifier(table)]).fetchone()
    return found or (None, "")


def _named(quoted: str) -> sql.Composable:
    return sql.SQL(cast("LiteralString", quoted))


def _one(session: psycopg.Connection[Any], statement: sql.Composed) -> int:
    found = session.execute(statement).fetchone()
    assert found is not None
    return found[0]
