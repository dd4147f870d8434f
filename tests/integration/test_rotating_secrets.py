"""A database's password is changed under programs that run on: each connects by what its file has then."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from devstack.harness.databases import ServiceDatabase
from tests.support.programs import Program, program
from tests.support.relays import Outbox, append, empty, read_topic, versions

ROLES = {"web": "test_service", "relay": "test_relay"}  # program → whose rights its own login has
REFUSED = "password authentication failed"
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE starts_with(usename, 'rotated_')"


@pytest.fixture
def outbox(service_database: ServiceDatabase, kafka: str) -> Iterator[Outbox]:
    """Give a database with a login for each program, that nobody else uses."""
    found = empty(service_database, kafka)
    for kind, role in ROLES.items():
        found.execute(f"CREATE ROLE rotated_{kind} LOGIN IN ROLE {role}")
    yield found
    for kind in ROLES:
        found.execute(f"DROP ROLE rotated_{kind}")


def set_password(outbox: Outbox, kind: str, password: str) -> None:
    change = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(f"rotated_{kind}"), sql.Literal(password))
    with psycopg.connect(outbox.database.superuser_url, autocommit=True) as connection:
        connection.execute(change)


def write(file: Path, outbox: Outbox, kind: str, password: str) -> None:
    _, _, place = outbox.database.service_url.partition("@")
    file.write_text(f"postgresql://rotated_{kind}:{password}@{place}\n")


def test_programs_take_up_a_new_password_of_the_database_without_a_restart(outbox: Outbox, tmp_path: Path):
    files = {kind: tmp_path / kind for kind in ROLES}
    with ExitStack() as stack:
        running: dict[str, Program] = {}
        for kind, file in files.items():
            set_password(outbox, kind, "old")
            write(file, outbox, kind, "old")
            told = {"WAYBILL_DATABASE_URL_FILE": str(file), "WAYBILL_KAFKA_BOOTSTRAP": outbox.kafka}
            running[kind] = stack.enter_context(program(kind, "", **told))
        for one in running.values():
            one.wait_for("readiness", lambda one=one: one.unready() is None)
        assert running["web"].ask("/v1/orders")[0] == 200

        for kind in ROLES:
            set_password(outbox, kind, "new")
        outbox.execute(END)
        for one in running.values():
            one.wait_for("the old one refused", lambda one=one: REFUSED in (one.unready() or ""))

        for kind, file in files.items():
            write(file, outbox, kind, "new")
        for one in running.values():
            one.wait_for("readiness", lambda one=one: one.unready() is None)
        assert running["web"].ask("/v1/orders")[0] == 200
        with outbox.connect() as connection:
            append(connection, outbox.topic, "a", 1)
        running["relay"].wait_for("the event", lambda: versions(read_topic(outbox.kafka, outbox.topic)) == {"a": [1]})
