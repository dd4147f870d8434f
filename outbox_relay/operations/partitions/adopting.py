"""A log in one table becomes the first range of a partitioned one, while it is appended to and read.

    1. the trigger that notes each aggregate's last version      waits for writers, in short turns
    2. the versions of all events before it, in pieces           a transaction of some 100,000 positions each
    3. a constraint that bounds the positions, then validated    reads the table, and blocks nobody
    4. the switch: rename, create the parent, attach             no row is read or moved; alone for a moment

What is broken off is begun again where it stopped. The constraint bounds positions a whole range ahead of what was
handed out; where the switch does not come about, it is taken away again.
"""

from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from outbox_relay.operations import audit
from outbox_relay.operations.partitions import layout
from outbox_relay.operations.topology import UsageError

PIECE: Final = 100_000  # positions whose versions are noted in one transaction
BOUND: Final = "waybill_outbox_bound"
OLD: Final = "waybill_outbox_1"

IN_THE_WAY: Final = """
SELECT 'foreign key ' || conname || ' of ' || conrelid::regclass FROM pg_constraint
WHERE confrelid = 'waybill_outbox'::regclass AND conrelid IS DISTINCT FROM to_regclass('waybill_due_task')
UNION ALL
SELECT 'publication ' || pubname FROM pg_publication_rel JOIN pg_publication ON pg_publication.oid = prpubid
WHERE prrelid = 'waybill_outbox'::regclass
UNION ALL
SELECT 'trigger ' || tgname FROM pg_trigger
WHERE tgrelid = 'waybill_outbox'::regclass AND NOT tgisinternal AND tgname <> 'waybill_note_versions'
"""
# Versions of one statement follow each other; its first one must be beyond the last that is known. As the owner, so
# that nobody else needs a right on the table; one statement, which costs less than two, in one sequence of locks.
NOTE_VERSIONS: Final[LiteralString] = """
CREATE OR REPLACE FUNCTION {schema}.waybill_note_versions() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    taken boolean;
BEGIN
    WITH aggregates AS MATERIALIZED (
        SELECT aggregate_id, aggregate_type, max(aggregate_version) AS version, count(*)::integer AS appended,
               max(aggregate_version) - min(aggregate_version) + 1 = count(*) AS whole
        FROM appended GROUP BY aggregate_id, aggregate_type
    ), noted AS (
        INSERT INTO {schema}.waybill_aggregate_version AS known (aggregate_id, aggregate_type, version, appended)
        SELECT aggregate_id, aggregate_type, version, appended FROM aggregates
        WHERE whole ORDER BY aggregate_id, aggregate_type
        ON CONFLICT (aggregate_id, aggregate_type) DO UPDATE
            SET version = excluded.version, appended = excluded.appended
            WHERE known.version <= excluded.version - excluded.appended
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM aggregates) <> (SELECT count(*) FROM noted) INTO taken;
    IF taken THEN
        RAISE unique_violation USING CONSTRAINT = 'waybill_outbox_one_event_a_version',
            MESSAGE = 'duplicate key value violates unique constraint "waybill_outbox_one_event_a_version"',
            DETAIL = 'an aggregate has a later version already, also if it is archived; or the versions of one '
                     'statement do not follow each other';
    END IF;
    RETURN NULL;
END $$
"""
TRIGGER: Final[LiteralString] = """
CREATE TRIGGER waybill_note_versions AFTER INSERT ON waybill_outbox REFERENCING NEW TABLE AS appended
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.waybill_note_versions()
"""
HAS_TRIGGER: Final = """
SELECT 1 FROM pg_trigger WHERE tgrelid = 'waybill_outbox'::regclass AND tgname = 'waybill_note_versions'
"""
NOTE_OLDER: Final = """
INSERT INTO waybill_aggregate_version AS known (aggregate_id, aggregate_type, version, appended)
SELECT aggregate_id, aggregate_type, max(aggregate_version), count(*)
FROM waybill_outbox WHERE position BETWEEN %s AND %s
GROUP BY aggregate_id, aggregate_type ORDER BY aggregate_id, aggregate_type
ON CONFLICT (aggregate_id, aggregate_type) DO UPDATE SET version = excluded.version
    WHERE known.version < excluded.version
"""
ADD_BOUND: Final[LiteralString] = (
    "ALTER TABLE waybill_outbox ADD CONSTRAINT {bound} CHECK (position < {after}) NOT VALID"
)
VALIDATE: Final = f"ALTER TABLE waybill_outbox VALIDATE CONSTRAINT {BOUND}"
GIVEN_BOUND: Final = f"""
SELECT substring(pg_get_constraintdef(oid) FROM '\\d+')::bigint FROM pg_constraint
WHERE conrelid = 'waybill_outbox'::regclass AND conname = '{BOUND}'
"""  # noqa: S608 - constants
DROP_BOUND: Final = f"ALTER TABLE waybill_outbox DROP CONSTRAINT IF EXISTS {BOUND}"

# A foreign key needs a unique key over all ranges. A due row is written in the transaction of its event, and no range
# is dropped that has an event which is due.
DUE_KEY: Final = """
ALTER TABLE IF EXISTS waybill_due_task DROP CONSTRAINT IF EXISTS waybill_due_task_event_id_fkey
"""
# Who may do what with the log and its sequence: for all of it, or for a column.
RIGHTS: Final = """
SELECT relname, pg_get_userbyid(grantee), grantee = 0, privilege_type, NULL::text
FROM pg_class, aclexplode(relacl)
WHERE oid IN ('waybill_outbox'::regclass, 'waybill_outbox_position_seq'::regclass) AND grantee <> relowner
UNION ALL
SELECT relname, pg_get_userbyid(grantee), grantee = 0, privilege_type, attname::text
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid, aclexplode(attacl)
WHERE attrelid = 'waybill_outbox'::regclass AND grantee <> relowner
"""
OWNER_OF: Final = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'waybill_outbox'::regclass"
# The old table keeps its rows, indexes and checks; the parent gets its columns and checks, and the identity.
SWITCH: Final[LiteralString] = """
DROP TRIGGER waybill_note_versions ON waybill_outbox;
ALTER TABLE waybill_outbox ALTER position DROP IDENTITY;
ALTER TABLE waybill_outbox RENAME TO {old};
ALTER TABLE {old} RENAME CONSTRAINT waybill_outbox_pkey TO {position};
ALTER TABLE {old} RENAME CONSTRAINT waybill_outbox_event_id_key TO {event_id};
ALTER TABLE {old} RENAME CONSTRAINT waybill_outbox_one_event_a_version TO {version};
CREATE TABLE waybill_outbox (LIKE {old} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS)
    PARTITION BY RANGE (position);
ALTER TABLE waybill_outbox OWNER TO {owner};
ALTER TABLE waybill_outbox DROP CONSTRAINT {bound};
ALTER TABLE waybill_outbox ALTER position ADD GENERATED ALWAYS AS IDENTITY
    (SEQUENCE NAME waybill_outbox_position_seq INCREMENT 1 CACHE 1 NO CYCLE START WITH {next});
ALTER TABLE waybill_outbox ADD CONSTRAINT waybill_outbox_pkey PRIMARY KEY (position);
ALTER TABLE {old} SET SCHEMA {partitions};
ALTER TABLE waybill_outbox ATTACH PARTITION {partitions}.{old} FOR VALUES FROM (MINVALUE) TO ({after});
ALTER TABLE {partitions}.{old} DROP CONSTRAINT {bound};
REVOKE ALL ON {partitions}.{old} FROM PUBLIC;
"""


def adopt(owner: psycopg.Connection, events: int, by: str, reason: str) -> int:
    """Divide the log into ranges of so many positions, on record; returns the first position of the second range.

    Raises UsageError, psycopg.Error.
    """
    if layout.is_partitioned(owner):
        raise UsageError("the log is partitioned already")
    if found := owner.execute(IN_THE_WAY).fetchone():
        raise UsageError(f"{found[0]} is bound to the table as it is: drop it, and create it anew afterwards")
    schema = sql.Identifier(layout.schemas(owner)[0])
    _note_versions(owner, schema)
    layout.for_a_moment(owner, lambda: _add_bound(owner, layout.handed_out(owner) + events))
    try:
        owner.execute(VALIDATE)
        after = _bound(owner)
        layout.for_a_moment(owner, lambda: _switch(owner, after, events, by, reason))
    except BaseException:
        layout.for_a_moment(owner, lambda: _drop_bound(owner))
        raise
    owner.execute("ANALYZE waybill_outbox")
    return after


def _note_versions(owner: psycopg.Connection, schema: sql.Identifier) -> None:
    owner.execute(sql.SQL(NOTE_VERSIONS).format(schema=schema))
    if not owner.execute(HAS_TRIGGER).fetchone():
        layout.for_a_moment(owner, lambda: _execute(owner, sql.SQL(TRIGGER).format(schema=schema)))
    last = layout.handed_out(owner)  # all that came later met the trigger
    for first in range(1, last + 1, PIECE):
        owner.execute(NOTE_OLDER, (first, min(first + PIECE - 1, last)))


def _execute(owner: psycopg.Connection, statement: sql.Composed) -> None:
    owner.execute(statement)


def _add_bound(owner: psycopg.Connection, after: int) -> None:
    owner.execute(DROP_BOUND)  # of a run that was killed
    owner.execute(sql.SQL(ADD_BOUND).format(bound=sql.Identifier(BOUND), after=sql.Literal(after)))


def _bound(owner: psycopg.Connection) -> int:
    found = owner.execute(GIVEN_BOUND).fetchone()
    assert found is not None
    return found[0]


def _drop_bound(owner: psycopg.Connection) -> None:
    if not layout.is_partitioned(owner):
        owner.execute(DROP_BOUND)


def _switch(owner: psycopg.Connection, after: int, events: int, by: str, reason: str) -> None:
    """Put the parent in the table's place; alone with the log, so no position is under way."""
    schema, partitions = layout.schemas(owner)
    rights = owner.execute(RIGHTS).fetchall()
    (owned_by,) = owner.execute(OWNER_OF).fetchone() or ("",)
    owner.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(partitions)))
    names: dict[str, Any] = {
        "old": sql.Identifier(OLD),
        "partitions": sql.Identifier(partitions),
        "owner": sql.Identifier(owned_by),
        "bound": sql.Identifier(BOUND),
        "next": sql.Literal(_next(owner)),
        "after": sql.Literal(after),
    }
    owner.execute(DUE_KEY)
    owner.execute(sql.SQL(SWITCH).format(**names, **layout.keys_of(OLD)))
    for name, role, is_public, right, column in rights:
        _grant(owner, name, sql.SQL("PUBLIC") if is_public else sql.Identifier(role), right, column, partitions)
    owner.execute(sql.SQL(TRIGGER).format(schema=sql.Identifier(schema)))
    layout.make(owner, after, after + events)
    layout.make(owner, after + events, after + 2 * events)
    layout.make(owner, after + 2 * events, None)
    audit.record(owner, "partitions adopt", reason, {"first_range_until": after, "events": events}, by)


def _next(owner: psycopg.Connection) -> int:
    (position, called) = owner.execute("SELECT last_value, is_called FROM waybill_outbox_position_seq").fetchone() or (
        1,
        False,
    )
    return position + 1 if called else position


def _grant(
    owner: psycopg.Connection,
    name: str,
    role: sql.Composable,
    right: str,
    column: str | None,
    partitions: str,
) -> None:
    """Give a right on the new table or sequence that was one on the old; nobody has one on the range itself."""
    on_column = sql.SQL(" ({})").format(sql.Identifier(column)) if column else sql.SQL("")
    what = sql.SQL(right) + on_column  # type: ignore[arg-type] - PostgreSQL's own word
    kind = sql.SQL("SEQUENCE" if name.endswith("_seq") else "TABLE")
    owner.execute(sql.SQL("GRANT {} ON {} {} TO {}").format(what, kind, sql.Identifier(name), role))
    if not name.endswith("_seq"):
        old = sql.Identifier(partitions, OLD)
        owner.execute(sql.SQL("REVOKE {} ON {} FROM {}").format(what, old, role))
