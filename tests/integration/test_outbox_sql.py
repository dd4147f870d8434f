"""The outbox that `python -m waybill outbox-sql` prints, on PostgreSQL."""

import psycopg
import pytest
from django.core.management import call_command
from psycopg import sql

from tests.support.databases import in_use
from tests.support.outbox_sql import outbox_sql

COLUMNS = """
SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default, identity_generation
FROM information_schema.columns WHERE table_schema = 'public' AND table_name = ANY(%s) ORDER BY 1, 2
"""
# By what they hold, not by name: Django gives its own names with a digest in them.
CONSTRAINTS = """
SELECT conrelid::regclass::text, contype, pg_get_constraintdef(oid)
FROM pg_constraint WHERE conrelid::regclass::text = ANY(%s) AND contype <> 'n' ORDER BY 1, 2, 3
"""
INDEXES = """
SELECT DISTINCT tablename, regexp_replace(indexdef, '^CREATE (UNIQUE )?INDEX \\S+', '\\1') FROM pg_indexes
WHERE tablename = ANY(%s) AND indexdef NOT LIKE '%%_pattern_ops%%' AND indexname <> 'received_parked' ORDER BY 1, 2
"""
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
WRITTEN = "INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type, "
WRITTEN += "schema_version, payload, metadata) VALUES (gen_random_uuid(), 't', 'a', 'k', 1, 'e', 1, '', '{}')"


@pytest.fixture
def printed(database_server):
    with database_server.empty() as database:
        with psycopg.connect(database.owner_url) as owner:
            owner.execute(outbox_sql("tables", "reviews"))
            owner.execute(outbox_sql("rights", "--writer", "test_service", "--relay", "test_relay"))
        yield database


def test_the_printed_tables_are_those_that_django_migrates(printed, service_database):
    with psycopg.connect(printed.owner_url) as owner, psycopg.connect(service_database.owner_url) as migrated:
        tables = [name for (name,) in owner.execute(TABLES)]
        assert {"waybill_outbox", "waybill_outbox_cursor", "published", "received"} <= set(tables)
        for asked in (COLUMNS, CONSTRAINTS, INDEXES):
            assert owner.execute(asked, [tables]).fetchall() == migrated.execute(asked, [tables]).fetchall()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE waybill_outbox SET payload = ''",
        "DELETE FROM waybill_outbox",
        "TRUNCATE waybill_outbox",
        "SELECT nextval('waybill_outbox_position_seq')",
        WRITTEN.replace("(event_id", "(position, event_id").replace("VALUES (", "OVERRIDING SYSTEM VALUE VALUES (9, "),
        "UPDATE waybill_outbox_cursor SET position = 9",
    ],
)
def test_the_writer_can_only_read_and_append(printed, statement):
    with psycopg.connect(printed.service_url, autocommit=True) as writer:
        writer.execute(WRITTEN)
        assert writer.execute("SELECT count(*) FROM waybill_outbox").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.execute(sql.SQL(statement))


def test_sqlmigrate_shows_the_statements_of_the_outbox(service_database, capsys):
    with in_use(service_database.owner_url):
        call_command("sqlmigrate", "waybill_outbox", "0001")
    assert "CREATE TABLE waybill_outbox (" in capsys.readouterr().out
