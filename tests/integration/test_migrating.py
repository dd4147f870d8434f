"""`migrate` waits some seconds for a lock, names who holds it, and cuts off nothing that takes its time by right."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from devstack.harness.databases import Server, ServiceDatabase
from devstack.harness.wait import wait_until
from tests.release import versions
from tests.support.migrating import migrate

MIGRATING = "FROM pg_stat_activity WHERE application_name = 'order_service.migrate' AND wait_event_type = 'Lock'"
FORGET = "DELETE FROM django_migrations WHERE app = 'order_service' AND name >= '0006'"


@pytest.fixture
def database(own_databases: Server) -> Iterator[ServiceDatabase]:
    with own_databases.fresh("order_service") as fresh:
        yield fresh


def report(url: str) -> psycopg.Connection:
    return psycopg.connect(url, application_name="a report")


@pytest.mark.slow
def test_a_lock_that_is_not_granted_ends_with_4_and_names_who_holds_it(database: ServiceDatabase) -> None:
    with report(database.owner_url) as holder:
        holder.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        done = migrate(database)
        pid = holder.info.backend_pid
    assert done.returncode == 4, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("cannot migrate: a lock was not granted within 3 s, 5 times: held by process ")
    assert f'{pid} ("a report", user test_owner, idle in transaction since 20' in last
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_holder_of_another_role_is_named_as_far_as_rights_go(database: ServiceDatabase) -> None:
    with report(database.superuser_url) as holder:
        holder.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        done = migrate(database)
    assert done.returncode == 4, done.stderr
    assert '("a report", user postgres, state and start shown to members of pg_read_all_stats only)' in done.stderr


def test_a_lock_that_is_given_back_meanwhile_is_waited_for(database: ServiceDatabase) -> None:
    with ThreadPoolExecutor(1) as thread, psycopg.connect(database.superuser_url, autocommit=True) as looking:
        with report(database.owner_url) as holder:
            holder.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
            running = thread.submit(migrate, database)
            wait_until(lambda: looking.execute(f"SELECT 1 {MIGRATING}").fetchone(), deadline_seconds=60, what="waiting")
        done = running.result()
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_an_index_that_is_built_concurrently_outwaits_an_old_transaction(database: ServiceDatabase) -> None:
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("DROP INDEX orders_of_customer_by_time")
        owner.execute(FORGET)
    with ThreadPoolExecutor(1) as thread, psycopg.connect(database.superuser_url, autocommit=True) as looking:
        with report(database.owner_url) as older:
            older.execute("LOCK TABLE orders IN ROW EXCLUSIVE MODE")
            running = thread.submit(migrate, database)
            longer = f"SELECT 1 {MIGRATING} AND now() - query_start > interval '5 s'"
            wait_until(lambda: looking.execute(longer).fetchone(), deadline_seconds=60, what="more than a lock's time")
        done = running.result()
        assert done.returncode == 0, done.stderr
        assert "a report" in done.stdout + done.stderr
        invalid = looking.execute("SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid").fetchall()
    assert invalid == []


def columns(database: ServiceDatabase) -> set[str]:
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'orders'"
    with psycopg.connect(database.owner_url) as session:
        return {name for (name,) in session.execute(query)}


def test_what_contracts_is_left_out_beside_the_code_before_and_run_afterwards(
    database: ServiceDatabase, tmp_path: Path
) -> None:
    version = versions.copied(tmp_path, "order")
    before = columns(database)
    versions.migrate(version, "campaign", versions.EXPANDS)
    versions.migrate(version, "contract_campaign", versions.CONTRACTS)
    done = migrate(database, None, "--expand", checkout=tmp_path)
    assert done.returncode == 0, done.stderr
    assert columns(database) == before | {"campaign"}
    versions.migrate(version, "mark", versions.EXPANDS.replace("campaign", "mark"))
    refused = migrate(database, None, "--expand", checkout=tmp_path)
    assert refused.returncode == 1
    said = "order_service.0009_mark depends on order_service.0008_contract_campaign, which contracts and has not run"
    assert said in refused.stderr
    done = migrate(database, checkout=tmp_path)
    assert done.returncode == 0, done.stderr
    assert columns(database) == before | {"mark"}
