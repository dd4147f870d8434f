"""One table filled with copies of some of its rows, its keys and indexes built afterwards."""

from dataclasses import dataclass
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg import sql

# Each column as the copy has it: in FILL, `old` and `new` are the first digits of the ids, and `n` the spans back.
MOVED: Final[dict[str, LiteralString]] = {
    "uuid": "replace({c}, old, new)::uuid",
    "text": "replace({c}, old, new)",
    "character varying": "replace({c}, old, new)",
    "jsonb": "replace({c}, old, new)::jsonb",
    "bytea": "decode(replace({c}, old_hex, new_hex), 'hex')",
    "timestamp with time zone": "{c} - n * interval '65.536 s'",
}
# Kept as text, so that a copy costs no conversion of what is the same in all.
AS_TEXT: Final[dict[str, LiteralString]] = {
    "uuid": "{c}::text",
    "jsonb": "{c}::text",
    "bytea": "encode({c}, 'hex')",
}
COLUMNS: Final = """
SELECT attname, format_type(atttypid, NULL), attidentity <> '' FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
# Foreign keys to the table go first, and come back last.
KEYS: Final = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = %(table)s::regclass AND contype IN ('p', 'u') OR confrelid = %(table)s::regclass AND contype = 'f'
ORDER BY contype
"""
INDEXES: Final = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = %s::regclass
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u'))
"""
# Oldest first, span by span, and in the sequence of the originals: as the services would have come by them.
FILL: Final = """
DO $do$
DECLARE
    digits text := {digits}; old text := digits || '-'; old_hex text := encode(convert_to(old, 'UTF8'), 'hex');
    new text; new_hex text; many bigint := {many}; first bigint := {first};
BEGIN
    FOR n IN REVERSE {oldest} .. 1 LOOP
        new := lpad(to_hex(('x' || digits)::bit(32)::bigint - n), 8, '0') || '-';
        new_hex := encode(convert_to(new, 'UTF8'), 'hex');
        INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {moved} FROM growth_originals ORDER BY nth;
        first := first + many;
        COMMIT;
    END LOOP;
END $do$
"""


@dataclass(frozen=True)
class Table:
    """A table, which of its rows are copied, and how many spans back the oldest copy is."""

    name: str
    which: sql.Composed
    oldest: int


class Key(NamedTuple):
    """A constraint of a table, or, without one, an index."""

    table: str | None
    name: str
    definition: str

    def drop(self) -> sql.Composed:
        """Return the statement that takes it away."""
        if self.table is None:
            return sql.SQL("DROP INDEX {}").format(sql.Identifier(self.name))
        return sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
            sql.Identifier(self.table), sql.Identifier(self.name)
        )

    def add(self, session: psycopg.Connection) -> bytes:
        """Return the statement that makes it."""
        if self.table is None:
            return self.definition.encode()
        add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ")
        return (add.format(*map(sql.Identifier, (self.table, self.name))).as_string(session) + self.definition).encode()


def keys_of(session: psycopg.Connection, table: str) -> list[Key]:
    """Return the table's keys and indexes, and the foreign keys that lead to it, in the sequence to drop them in."""
    constraints = [Key(*row) for row in session.execute(KEYS, {"table": table})]
    return constraints + [Key(None, *row) for row in session.execute(INDEXES, [table])]


def refill(session: psycopg.Connection, table: Table, digits: str) -> int:
    """Copy the rows; returns how many there are more. Raises psycopg.Error, with keys then missing."""
    name = sql.Identifier(table.name)
    columns = session.execute(COLUMNS, [table.name]).fetchall()
    many = _keep_originals(session, table, columns)
    if not many or not table.oldest:
        return 0
    keys = keys_of(session, table.name)
    for key in keys:
        session.execute(key.drop())
    session.execute(
        sql.SQL(FILL).format(
            table=name,
            digits=digits,
            many=many,
            first=_next(session, table.name, columns),
            oldest=table.oldest,
            columns=sql.SQL(", ").join(sql.Identifier(column) for column, _, _ in columns),
            moved=sql.SQL(", ").join(_moved(table.name, *column) for column in columns),
        )
    )
    for key in reversed(keys):
        session.execute(key.add(session))
    for column, _, identity in columns:
        if identity:
            last = sql.SQL("SELECT setval(pg_get_serial_sequence({}, {}), (SELECT max({}) FROM {}))")
            session.execute(last.format(table.name, column, sql.Identifier(column), name))
    return many * table.oldest


def _keep_originals(session: psycopg.Connection, table: Table, columns: list[Any]) -> int:
    """Lay the originals out in a table of their own, numbered in their sequence; returns how many."""
    kept = sql.SQL(", ").join(
        sql.SQL(AS_TEXT.get(kind, "{c}") + " AS {c}").format(c=sql.Identifier(column)) for column, kind, _ in columns
    )
    # Positions rise with the versions of an aggregate; where a row lies on the disk says nothing of its sequence.
    first = next((sql.Identifier(column) for column, _, identity in columns if identity), sql.SQL("ctid"))
    session.execute("DROP TABLE IF EXISTS growth_originals")
    session.execute(
        sql.SQL(
            "CREATE TEMPORARY TABLE growth_originals AS"
            " SELECT row_number() OVER (ORDER BY {first}) - 1 AS nth, {kept} FROM {table} WHERE {which}"
        ).format(first=first, kept=kept, table=sql.Identifier(table.name), which=table.which)
    )
    row = session.execute("SELECT count(*) FROM growth_originals").fetchone()
    return row[0] if row else 0


def _next(session: psycopg.Connection, name: str, columns: list[Any]) -> int:
    for column, _, identity in columns:
        if identity:
            last = sql.SQL("SELECT coalesce(max({}), 0) + 1 FROM {}")
            row = session.execute(last.format(sql.Identifier(column), sql.Identifier(name))).fetchone()
            return row[0] if row else 1
    return 1


def _moved(table: str, column: str, kind: str, identity: bool) -> sql.Composable:
    if identity:
        return sql.SQL("first + nth")
    if (table, column) == ("waybill_idempotency_key", "key"):
        return sql.SQL("gen_random_uuid()::text")  # the client's, of another version
    return sql.SQL(MOVED.get(kind, "{c}")).format(c=sql.SQL("growth_originals.") + sql.Identifier(column))
