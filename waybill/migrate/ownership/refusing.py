"""Triggers that refuse every write of a side that does not own the rows, by name and with what to do instead.

Whether they refuse is state of the catalogue and not of a row: whoever waits for the table's lock sees the trigger as
it is once the lock is granted, also with a snapshot from before. They fire for each statement, before it: one that
changes no row costs a write nothing else, and COPY, MERGE, cascades and TRUNCATE are refused alike, in sessions of
`session_replication_role = replica` too.

What is applied from the owner's events passes: its transaction has set `waybill.applied_source`. The text stands in the
function, for a row would be read with the writer's snapshot.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from psycopg import sql

from waybill.migrate import tables
from waybill.migrate.capture import LONGEST_NAME, NotMigrated
from waybill.migrate.mapping.document import Aggregate

REFUSED: Final = "WB001"
"""SQLSTATE of a write that is refused."""
APPLIED: Final = "waybill.applied_source"
"""The setting of a transaction that applies events: whose."""
FUNCTION: Final = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $waybill$
BEGIN
    IF current_setting({applied}, true) <> '' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION USING ERRCODE = {code}, TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA,
        MESSAGE = format({message}, TG_TABLE_NAME, TG_OP), HINT = {hint};
END
$waybill$
"""
TRIGGER: Final = """
CREATE OR REPLACE TRIGGER {name} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION {function}()
"""
STANDING: Final = """
SELECT t.tgrelid::regclass::text, quote_ident(t.tgname), t.tgenabled::text, to_regclass(t.tgrelid::regclass::text)::oid
FROM pg_trigger AS t JOIN pg_description AS d ON d.objoid = t.tgfoid AND d.classoid = 'pg_proc'::regclass
WHERE d.description = %s AND NOT t.tgisinternal ORDER BY 1, 2
"""
FUNCTIONS: Final = """
SELECT objoid::regprocedure::text FROM pg_description
WHERE classoid = 'pg_proc'::regclass AND description = %s
"""
SCHEMA: Final = """
SELECT quote_ident(nspname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE pg_class.oid = to_regclass('waybill_ownership')
"""
OID: Final = "SELECT to_regclass(%s)::oid"
ALWAYS: Final = "A"


def tables_of(aggregate: Aggregate) -> list[str]:
    """Return the tables of an aggregate, each once, in the sequence in which they are locked."""
    return list(dict.fromkeys([aggregate.table, *(child.table for child in aggregate.children.values())]))


def turn_on(cursor: Any, aggregate: Aggregate, owner: str, epoch: int) -> None:
    """Refuse writes from the end of this transaction on; takes the locks of the tables that keep writers out."""
    name = tables.identifier(_name(aggregate.name))
    function = f"{_schema(cursor)}.{name}"
    owned = f"the rows of {aggregate.name} are owned by {owner} (epoch {epoch})".replace("%", "%%")
    message = f"%I takes no %s here: {owned}"
    hint = "Write there, as the gateway does; `python -m waybill migrate status` shows who owns what, and since when."
    words = {"applied": APPLIED, "code": REFUSED, "message": message, "hint": hint}
    cursor.execute(FUNCTION.format(function=function, **{key: _text(one) for key, one in words.items()}))
    cursor.execute(f"COMMENT ON FUNCTION {function}() IS {_text(_comment(aggregate.name))}")
    for one in tables_of(aggregate):
        table = tables.identifier(one)
        cursor.execute(TRIGGER.format(name=name, table=table, function=function))
        cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def turn_off(cursor: Any, source: str) -> None:
    """Refuse no more from the end of this transaction on; of a side whose mapping need not be known."""
    for table, name, _, _ in _standing(cursor, source):
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")


def drop(cursor: Any, source: str) -> None:
    """Remove the triggers."""
    cursor.execute(FUNCTIONS, [_comment(source)])
    for (function,) in cursor.fetchall():
        cursor.execute(f"DROP FUNCTION {function} CASCADE")


def refuses(cursor: Any, source: str) -> bool:
    """Tell whether there are such triggers and all of them refuse; of a side whose mapping need not be known."""
    standing = list(_standing(cursor, source))
    return bool(standing) and all(enabled == ALWAYS for _, _, enabled, _ in standing)


def refuses_all(cursor: Any, aggregate: Aggregate) -> bool:
    """Tell whether each table of the mapping refuses."""
    on = {oid for _, _, enabled, oid in _standing(cursor, aggregate.name) if enabled == ALWAYS}
    for table in tables_of(aggregate):
        cursor.execute(OID, [tables.identifier(table)])
        if cursor.fetchone()[0] not in on:
            return False
    return True


def _standing(cursor: Any, source: str) -> Iterator[tuple[str, str, str, int]]:
    cursor.execute(STANDING, [_comment(source)])
    yield from cursor.fetchall()


def _schema(cursor: Any) -> str:
    cursor.execute(SCHEMA)
    found = cursor.fetchone()
    if found is None:
        raise NotMigrated("there is no table waybill_ownership: migrate the app waybill.migrate")
    return found[0]


def _comment(source: str) -> str:
    return f"waybill migrate refuses: {source}"


def _name(source: str) -> str:
    whole = f"waybill_refuse_{source}"
    return whole if len(whole) < LONGEST_NAME - 9 else f"{whole[: LONGEST_NAME - 12]}_{_digest(whole)}"


def _digest(whole: str) -> str:
    return hashlib.sha256(whole.encode()).hexdigest()[:8]


def _text(value: str) -> str:
    return sql.Literal(value).as_string()
