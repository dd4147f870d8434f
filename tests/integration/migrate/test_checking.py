"""What `python -m waybill migrate check` sees of a project that is ready, and of one that is not."""

import json
import subprocess
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from tests.support.moving import Bookings, Monolith
from tests.support.topics import delete_topics
from waybill.migrate.checking import database, project, requests
from waybill.migrate.checking.items import Item

NOWHERE = "127.0.0.1:1"


def lines(done: subprocess.CompletedProcess[str]) -> dict[str, dict]:
    """The lines by name; the last one is `checked`."""
    return {one.get("name", one["kind"]): one for one in map(json.loads, done.stdout.splitlines())}


def check(shop: Monolith, *arguments: str, **variables: str) -> tuple[int, dict[str, dict]]:
    done = shop.migrate("check", "--json", *arguments, **variables)
    return done.returncode, lines(done)


def test_a_project_without_waybill_is_told_what_to_install_and_nothing_breaks(shop):
    code, found = check(shop, DJANGO_SETTINGS_MODULE="shop.settings.monolith")
    assert (code, found["apps"]["ok"], found["checked"]["ready"]) == (1, False, False)
    assert "waybill.outbox" in found["apps"]["found"]
    assert "relay" not in found, "it cannot be asked yet"
    assert {name for name, one in found.items() if one.get("ok")} == {"request id", "health", "tests", "time zone"}


def test_the_moving_webshop_lacks_only_the_programs_round_it(shop, stack):
    delete_topics(stack.kafka, ["shop.mails.v1"])  # another test's
    code, found = check(shop)
    wrong = {name for name, one in found.items() if one.get("required") and one["ok"] is False}
    assert (code, wrong) == (1, {"Kafka", "schemas", "relay"})
    assert all(one["do"] for one in found.values() if one.get("ok") is False)
    assert found["checked"] == {"kind": "checked", "ready": False, "in_the_way": 3}


def test_a_broker_that_is_away_is_named_and_a_database_that_is_away_ends_it(shop):
    _, found = check(shop, WAYBILL_KAFKA_BOOTSTRAP=NOWHERE)
    assert NOWHERE in found["Kafka"]["found"]
    assert check(shop, DB_PORT="1")[0] == 4


def test_another_side_is_asked_for_its_tables_and_its_apps(shop):
    _, found = check(shop, REVIEWS_DATABASE_URL=shop.url, ORDERS_DATABASE_URL=shop.server.superuser_url)
    assert found["other side REVIEWS_DATABASE_URL"]["ok"] is True
    assert "there is no table orders_order" in found["other side ORDERS_DATABASE_URL"]["found"]
    assert found["other side CATALOGUE_DATABASE_URL"]["ok"] is None


def test_what_is_not_migrated_or_not_ours_is_named(shop):
    shop.execute("DELETE FROM django_migrations WHERE app = 'waybill_migrate'")
    shop.execute("DROP ROLE IF EXISTS another_owner; CREATE ROLE another_owner LOGIN; GRANT another_owner TO postgres")
    try:
        _, found = check(shop)
        assert (found["migrations"]["ok"], "waybill_migrate" in found["migrations"]["found"]) == (False, True)
        assert found["rights"]["ok"] is True
        shop.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO another_owner")
        _, found = check(shop, DB_USER="another_owner")
        assert (found["rights"]["ok"], "orders_order" in found["rights"]["found"]) == (False, True)
    finally:
        shop.execute("DROP OWNED BY another_owner; DROP ROLE another_owner")


@pytest.fixture
def seen(bookings: Bookings):
    """What the database says, by name, with this process's Django on it."""

    def look() -> dict[str, Item]:
        with connection.cursor() as cursor:
            return {one.name: one for one in (database._room(cursor), database._transactions(cursor, "default"),
                                              database._clock(cursor), database._backups(cursor))}  # fmt: skip

    return look


def test_a_transaction_that_stays_open_and_connections_that_are_used_up_stand_in_the_way(bookings, seen, monkeypatch):
    assert [one.ok for one in seen().values()] == [True, True, True, None]
    monkeypatch.setattr(database, "LONG_SECONDS", 0.01)
    monkeypatch.setattr(database, "NEEDED_CONNECTIONS", 10_000)
    with psycopg.connect(bookings.shop.url) as writer:
        writer.execute("SELECT pg_sleep(0.02)")
        found = seen()
        assert str(writer.info.backend_pid) in found["transactions"].do
    assert [found[name].stands_in_the_way for name in ("connections", "transactions")] == [True, True]


def test_a_clock_that_is_apart_is_told(seen, monkeypatch):
    monkeypatch.setattr(database, "CLOCK", "SELECT extract(epoch FROM clock_timestamp() + interval '1 minute')::float")
    assert (seen()["clock"].ok, seen()["clock"].found) == (False, "60.0 s apart from the database's")


def test_tests_are_counted_where_tests_are_and_nowhere_else(tmp_path: Path):
    for name in ("shop/tests.py", "shop/test_cart.py", "tests/orders.py", ".venv/tests.py", "node_modules/tests.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("def test_it(): ...\n")
    (tmp_path / "shop/models.py").write_text("def test_no_test(): ...\n")
    assert project._tests(tmp_path).found.startswith("3 tests in 3 files")
    assert project._tests(tmp_path / "nowhere").stands_in_the_way


def test_an_address_outside_of_the_project_is_asked_too(tmp_path: Path):
    assert requests._read(f"http://{NOWHERE}/metrics") is None
