"""A database of version 0.1 gets the names of this version, and keeps its rows."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from devstack.harness.databases import Server, ServiceDatabase
from tests.support.migrating import migrate

BEFORE = (Path(__file__).parents[1] / "support" / "version_0_1.sql").read_text()
LAST_OLD = "INSERT INTO django_migrations (app, name, applied) VALUES ('chassis', %s, now())"
FORGET = "DELETE FROM django_migrations WHERE app LIKE 'waybill_%%'"
DROP = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE 'waybill_%' LOOP
        EXECUTE format('DROP TABLE %I CASCADE', name);
    END LOOP;
    DROP INDEX received_parked;
END $$
"""
APPEND = """
INSERT INTO outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version,
                    payload, metadata)
VALUES (%s, 'order.events.v1', 'order', 'a', 1, 'waybill.order.OrderPlaced', 1, 'x', '{}')
"""
TABLES = """
SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, reloptions
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = 'public' AND attnum > 0 AND NOT attisdropped ORDER BY 1, 2
"""
CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(pg_constraint.oid)
FROM pg_constraint JOIN pg_namespace ON pg_namespace.oid = connamespace WHERE nspname = 'public' ORDER BY 1, 2
"""
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"


@pytest.fixture
def of_before(own_databases: Server) -> Iterator[ServiceDatabase]:
    with own_databases.fresh("order_service") as fresh, psycopg.connect(fresh.owner_url, autocommit=True) as owner:
        owner.execute(DROP)
        owner.execute(FORGET)
        owner.execute(BEFORE)
        yield fresh


def shape(database: ServiceDatabase) -> list[list[tuple[object, ...]]]:
    with psycopg.connect(database.owner_url) as session:
        return [session.execute(query).fetchall() for query in (TABLES, CONSTRAINTS, INDEXES)]


def test_tables_of_version_0_1_are_renamed_with_their_rows_and_are_as_new_ones(
    of_before: ServiceDatabase, own_databases: Server
):
    event_id = uuid4()
    with psycopg.connect(of_before.owner_url) as owner:
        owner.execute(LAST_OLD, ["0015_verified"])
        owner.execute(APPEND, [event_id])
        owner.execute("INSERT INTO due (task, event_id, due_at) VALUES ('expire_order', %s, now())", [event_id])
        owner.execute("UPDATE outbox_cursor SET position = 1")
    done = migrate(of_before)
    assert done.returncode == 0, done.stderr
    with own_databases.fresh("order_service") as fresh:
        assert shape(of_before) == shape(fresh)
    with psycopg.connect(of_before.service_url) as session:
        kept = "SELECT position, event_id FROM waybill_outbox JOIN waybill_due_task USING (event_id)"
        assert session.execute(kept).fetchall() == [(1, event_id)]
        assert session.execute("SELECT position FROM waybill_outbox_cursor").fetchall() == [(1,)]
        session.execute(APPEND.replace("outbox", "waybill_outbox", 1).replace("'a', 1", "'a', 2"), [uuid4()])


def test_tables_of_an_earlier_version_are_refused_and_left_as_they_are(of_before: ServiceDatabase):
    with psycopg.connect(of_before.owner_url) as owner:
        owner.execute(LAST_OLD, ["0009_operator_decision"])
    before = shape(of_before)
    done = migrate(of_before)
    said = "the tables are those of 0009_operator_decision; migrate to 0015_verified with version 0.1 first"
    assert (done.returncode, said in done.stderr) == (1, True)
    assert shape(of_before) == before
