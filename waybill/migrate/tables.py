"""The project's tables as PostgreSQL's catalogue describes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql

COLUMNS: Final = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, NULL),
       NOT (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)), t.typtype = 'd', format_type(t.typbasetype, NULL),
       t.typtype = 'e', format_type(a.atttypid, -1), a.atthasdef OR a.attidentity <> '', a.attgenerated <> ''
FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
TABLE: Final = """
SELECT c.relkind, c.reltuples::bigint, EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid),
    (SELECT array_agg(a.attname ORDER BY k.nth) FROM pg_index AS i,
        unnest(i.indkey::int[]) WITH ORDINALITY AS k (attnum, nth)
        JOIN pg_attribute AS a ON a.attnum = k.attnum
     WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid),
    ARRAY(SELECT a.attname FROM pg_index AS i JOIN pg_attribute AS a
        ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
     WHERE i.indrelid = c.oid AND i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL AND i.indisvalid),
    ARRAY(SELECT a.attname FROM pg_index AS i JOIN pg_attribute AS a
        ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
     WHERE i.indrelid = c.oid AND i.indpred IS NULL AND i.indisvalid)
FROM pg_class AS c WHERE c.oid = to_regclass(%s)
"""
# The column and its target are those of keys of one column; a key of several stands here with the first.
FOREIGN_KEYS: Final = """
SELECT a.attname, f.relname, b.attname, conrelid::regclass::text, con.convalidated, con.conname
FROM pg_constraint AS con JOIN pg_class AS f ON f.oid = con.confrelid
     JOIN pg_attribute AS a ON a.attrelid = con.conrelid AND a.attnum = con.conkey[1]
     JOIN pg_attribute AS b ON b.attrelid = con.confrelid AND b.attnum = con.confkey[1]
WHERE con.contype = 'f' AND (con.conrelid = to_regclass(%(table)s) OR con.confrelid = to_regclass(%(table)s))
"""
UNCHECKED: Final = """
SELECT conname, pg_get_expr(conbin, conrelid) FROM pg_constraint
WHERE contype = 'c' AND NOT convalidated AND conrelid = to_regclass(%s) ORDER BY conname
"""
_KINDS: Final[Mapping[str, str]] = {"character varying": "text", "character": "text", "citext": "text", "name": "text"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `kind` is its type without length, and text for every type of text."""

    name: str
    type: str
    kind: str
    nullable: bool
    cast: str = ""
    """The type without its length: a cast to it cuts nothing off."""
    has_default: bool = False
    """Also where it is an identity."""
    is_generated: bool = False
    """Computed of other columns, and never written."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A constraint from or to a table."""

    column: str
    target: str
    target_column: str
    of: str
    """The table that has the column."""
    validated: bool
    name: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table, by the name that the mapping gives it."""

    name: str
    columns: Mapping[str, Column]
    kind: str
    """`r` for an ordinary table, as in pg_class."""
    rows: int
    """An estimate; negative where the table was never analysed."""
    has_parts: bool
    primary_key: tuple[str, ...]
    unique: frozenset[str]
    """Columns that are unique by themselves."""
    indexed: frozenset[str]
    """Columns that an index begins with."""
    foreign_keys: tuple[ForeignKey, ...]
    unchecked: tuple[tuple[str, str], ...]
    """Constraints that new rows must keep and old ones need not, with their condition."""


def read(cursor: Any, name: str) -> Table | None:
    """Return the table; None where there is none of that name."""
    quoted = identifier(name)
    cursor.execute(TABLE, [quoted])
    found = cursor.fetchone()
    if found is None:
        return None
    kind, rows, has_parts, key, unique, indexed = found
    cursor.execute(COLUMNS, [quoted])
    columns = {row[0]: _column(*row) for row in cursor.fetchall()}
    cursor.execute(FOREIGN_KEYS, {"table": quoted})
    foreign_keys = tuple(ForeignKey(*row) for row in cursor.fetchall())
    cursor.execute(UNCHECKED, [quoted])
    return Table(
        name, columns, kind, rows, has_parts, tuple(key or ()), frozenset(unique), frozenset(indexed), foreign_keys,
        tuple(cursor.fetchall()),
    )  # fmt: skip


def identifier(name: str) -> str:
    """Return a table's or column's name, quoted; a dot divides schema and table."""
    return sql.Identifier(*name.split(".")).as_string()


def literal(value: str) -> str:
    """Return a text, quoted."""
    return sql.Literal(value).as_string()


def _column(  # noqa: PLR0913, PLR0917 - a row of the catalogue
    name: str,
    full: str,
    kind: str,
    nullable: bool,
    is_domain: bool,
    base: str,
    is_enum: bool,
    cast: str,
    has_default: bool,
    is_generated: bool,
) -> Column:
    plain = base if is_domain else kind
    shown = "text" if is_enum else _KINDS.get(plain, plain)
    return Column(name, full, shown, nullable, cast, has_default and not is_generated, is_generated)
