"""Triggers that write the key of whatever changes into the queue, in the writer's own transaction.

They are statement triggers with transition tables: one INSERT a statement, whatever it changes, so that a bulk update
pays once and a hundred child rows of one aggregate are one key. They see the ORM, raw SQL, COPY, MERGE, cascades and
TRUNCATE alike, and fire in sessions of `session_replication_role = replica` too, as bulk loads use them.

What is applied of the other side's events is not told back: the transaction says whose rows it writes in the setting
`waybill.applied_source`. Another kind of aggregate that has the same rows is told of them all the same.

A TRUNCATE has no rows to tell of, and its snapshot may be older than the rows that it removes. So it queues one row
without a key, and the program that takes it looks at every key that it knows.

The function runs as its owner: a writer needs no right on the queue.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, NamedTuple

from django.db import connections, transaction
from psycopg import sql
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from waybill.database.sqlstate import cause_of
from waybill.migrate import tables
from waybill.migrate.mapping.document import Aggregate

LONGEST_NAME: Final = 63
STATEMENT: Final = "FOR EACH STATEMENT"
# By the end of the trigger's name. A key that is changed is rare, and the one trigger of a row is for its old value:
# its condition costs nearly nothing, where a second transition table would be filled by every update.
WHEN: Final = {
    "in": f"AFTER INSERT ON {{table}} REFERENCING NEW TABLE AS waybill_changed {STATEMENT}",
    "up": f"AFTER UPDATE ON {{table}} REFERENCING NEW TABLE AS waybill_changed {STATEMENT}",
    "de": f"AFTER DELETE ON {{table}} REFERENCING OLD TABLE AS waybill_changed {STATEMENT}",
    "tr": f"AFTER TRUNCATE ON {{table}} {STATEMENT}",
    "mo": "AFTER UPDATE ON {table} FOR EACH ROW WHEN (OLD.{key} IS DISTINCT FROM NEW.{key})",
}
# A child row may have no parent, and then nothing is told of it.
BODY: Final = """
BEGIN
    IF current_setting('waybill.applied_source', true) = {source} THEN
        RETURN NULL;
    END IF;
    IF TG_LEVEL = 'ROW' THEN
        INSERT INTO {queue} (source, key) SELECT {source}, OLD.{key}::text WHERE OLD.{key} IS NOT NULL;
    ELSIF TG_OP = 'TRUNCATE' THEN
        INSERT INTO {queue} (source, key) VALUES ({source}, NULL);
    ELSE
        INSERT INTO {queue} (source, key) SELECT {distinct} {source}, {key}::text FROM waybill_changed
        WHERE {key} IS NOT NULL;
    END IF;
    RETURN NULL;
END
"""
FUNCTION: Final = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
AS $waybill${body}$waybill$
"""
QUEUE: Final = """
SELECT quote_ident(nspname) || '.waybill_capture', quote_ident(nspname) FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE pg_class.oid = to_regclass('waybill_capture')
"""
STANDING: Final = """
SELECT t.tgname, t.tgenabled = 'A', p.prosrc FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
WHERE t.tgrelid = to_regclass(%s) AND NOT t.tgisinternal
"""
OURS: Final = """
SELECT proname, pg_proc.oid::regprocedure::text FROM pg_proc
JOIN pg_description ON objoid = pg_proc.oid AND classoid = 'pg_proc'::regclass AND description = %s
"""
# What is changed while nothing captures is found by the next backfill, so that begins anew.
AGAIN: Final = "DELETE FROM waybill_backfill WHERE source = %s"
LOCK_NOT_AVAILABLE: Final = "55P03"
DEADLOCK: Final = "40P01"


class NotMigrated(Exception):
    """The tables of `waybill.migrate` are not there."""


class _Trigger(NamedTuple):
    table: str
    key: str
    name: str
    distinct: str
    """Of child rows a statement may change several of one aggregate; of the aggregate itself there is one row."""


def turn_on(aggregate: Aggregate, using: str, *, attempts: int = 10) -> None:
    """Make the triggers, or make them anew; waits for the writers of the moment, at most two seconds at a time.

    Raises:
        NotMigrated: The queue is not there.
        OperationalError: The tables' locks could not be had.

    """
    locking(lambda: _turn_on(aggregate, using), attempts)


def turn_off(aggregate: Aggregate, using: str, *, attempts: int = 10) -> None:
    """Drop the triggers; what is queued stays, and the next backfill begins anew. Raises as `turn_on`."""
    locking(lambda: _turn_off(aggregate, using), attempts)


def is_on(aggregate: Aggregate, cursor: Any) -> bool:
    """Tell whether every trigger is there, as it would be made now, and always fires."""
    queue, _ = _queue(cursor)
    for trigger in _triggers(aggregate):
        cursor.execute(STANDING, [tables.identifier(trigger.table)])
        standing = {name: (always, body) for name, always, body in cursor.fetchall()}
        wanted = (True, _body(aggregate, trigger, queue))
        if any(standing.get(f"{trigger.name}_{ending}") != wanted for ending in WHEN):
            return False
    return True


def locking(work: Callable[[], None], attempts: int) -> None:
    """Do what needs the tables' locks, again where they cannot be had. Raises what the last attempt raises."""
    for attempt in Retrying(
        retry=retry_if_exception(
            lambda error: getattr(cause_of(error), "sqlstate", None) in {LOCK_NOT_AVAILABLE, DEADLOCK}
        ),
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=0.2, max=5),
        reraise=True,
    ):
        with attempt:
            work()


def _turn_on(aggregate: Aggregate, using: str) -> None:
    with transaction.atomic(using), connections[using].cursor() as cursor:
        queue, schema = _queue(cursor)
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        wanted = list(_triggers(aggregate))
        drop(cursor, aggregate, {trigger.name for trigger in wanted})
        for trigger in wanted:
            table, function = tables.identifier(trigger.table), f"{schema}.{tables.identifier(trigger.name)}"
            body = _body(aggregate, trigger, queue)
            cursor.execute(FUNCTION.format(function=function, body=body))
            cursor.execute(f"COMMENT ON FUNCTION {function}() IS {_text(comment(aggregate.name))}")
            for ending, when in WHEN.items():
                name = tables.identifier(f"{trigger.name}_{ending}")
                fires = when.format(table=table, key=tables.identifier(trigger.key))
                cursor.execute(f"CREATE OR REPLACE TRIGGER {name} {fires} EXECUTE FUNCTION {function}()")
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def _turn_off(aggregate: Aggregate, using: str) -> None:
    with transaction.atomic(using), connections[using].cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        drop(cursor, aggregate, ())
        cursor.execute(AGAIN, [aggregate.name])


def drop(cursor: Any, aggregate: Aggregate, kept: Collection[str]) -> None:
    """Drop the functions with their triggers; also those of tables that the mapping no longer has."""
    cursor.execute(OURS, [comment(aggregate.name)])
    for name, function in cursor.fetchall():
        if name not in kept:
            cursor.execute(f"DROP FUNCTION {function} CASCADE")


def comment(source: str) -> str:
    """Return the comment by which the functions of an aggregate's triggers are found."""
    return f"waybill migrate: {source}"


def _queue(cursor: Any) -> tuple[str, str]:
    cursor.execute(QUEUE)
    found = cursor.fetchone()
    if found is None:
        raise NotMigrated("there is no table waybill_capture: add 'waybill.migrate' to INSTALLED_APPS, and migrate")
    return found


def _triggers(aggregate: Aggregate) -> Iterator[_Trigger]:
    yield _Trigger(aggregate.table, aggregate.key, _name(aggregate, aggregate.table), "")
    for field, child in aggregate.children.items():
        yield _Trigger(child.table, child.parent, _name(aggregate, f"{child.table}.{field}"), "DISTINCT")


def _name(aggregate: Aggregate, of: str) -> str:
    """Return a name that is the same each time, and another for another table, however long those are."""
    whole = f"waybill_capture_{aggregate.name}_{of}"
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{whole.replace('.', '_')[: LONGEST_NAME - 12]}_{digest}"


def _body(aggregate: Aggregate, trigger: _Trigger, queue: str) -> str:
    key = tables.identifier(trigger.key)
    return BODY.format(queue=queue, source=_text(aggregate.name), key=key, distinct=trigger.distinct)


def _text(value: str) -> str:
    return sql.Literal(value).as_string()
