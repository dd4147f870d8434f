"""Rows that differ from the fold of their events are set to it, also while the service moves them."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from devstack.harness.databases import ServiceDatabase
from order_service.domain import CancelOrder
from order_service.service import service
from tests.support.orders import cause
from tests.support.outbox_command import Running, execute, outbox, place_orders, settings
from waybill.deciders import unit_of_work
from waybill.deciders.rebuild import UNWATCHED, Difference, check
from waybill.deciders.unit_of_work import Caused

EXECUTE = ["--execute", "--reason", "total was changed by hand", "--by", "ana"]
REPAIR = ["rebuild", "--repair", "--service", "order", "--json"]
WAITS = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%FOR UPDATE'"


def rows(database: ServiceDatabase) -> list[tuple[Any, ...]]:
    """All that the table has, but for the time of the writing."""
    names = "order_id, version, status, total, created_at"
    return execute(database, f"SELECT {names} FROM orders ORDER BY order_id")


def place_elsewhere() -> list[UUID]:
    """Place an order in a session of its own."""

    def one() -> list[UUID]:
        try:
            return place_orders(1)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(one).result(30)


@pytest.mark.slow
def test_rows_that_differ_are_set_to_the_fold_on_record_and_a_dry_run_writes_nothing(order_database: ServiceDatabase):
    ids = place_orders(3)
    before = rows(order_database)
    execute(order_database, "UPDATE orders SET total = total + 1, version = 7 WHERE order_id = %s", ids[0])
    execute(order_database, "DELETE FROM orders WHERE order_id = %s", ids[1])
    wrong, where = rows(order_database), settings(order=order_database.service_url)
    dry = outbox("rebuild", "--repair", "--service", "order", **where)
    shown = [line.split()[2:] for line in dry.out.splitlines() if f"order/{ids[0]}" in line]
    assert (dry.code, sorted(shown)) == (1, [["total", "3999", "3998"], ["version", "7", "1"]])
    assert rows(order_database) == wrong
    one = outbox(*REPAIR, "--aggregate", f"order/{ids[0]}", *EXECUTE, **where)
    assert (one.code, [line["aggregate_id"] for line in one.lines()]) == (0, [str(ids[0])])
    done = outbox(*REPAIR, *EXECUTE, **where)
    assert (done.code, [line["aggregate_id"] for line in done.lines()]) == (0, [str(ids[1])])
    made_again = execute(order_database, "SELECT created_at FROM orders WHERE order_id = %s", ids[1])
    recorded = execute(order_database, "SELECT recorded_at FROM waybill_outbox WHERE aggregate_id = %s", str(ids[1]))
    assert made_again == recorded
    assert [row[:-1] for row in rows(order_database)] == [row[:-1] for row in before]
    assert outbox("rebuild", "--check", "--service", "order", **where).code == 0
    (first, _) = execute(order_database, "SELECT operator, verb, reason, what FROM waybill_operator_action ORDER BY id")
    assert first[:3] == ("ana", "rebuild --repair", "total was changed by hand")
    assert first[3]["rows"][0]["row"] == {"total": 3999, "version": 7}


def test_a_row_without_events_is_left_alone(order_database: ServiceDatabase):
    (order_id,) = place_orders(1)
    execute(order_database, "DELETE FROM waybill_due_task")
    execute(order_database, "DELETE FROM waybill_outbox")
    before = rows(order_database)
    done = outbox(*REPAIR, *EXECUTE, **settings(order=order_database.service_url))
    assert (done.code, [line["aggregate_id"] for line in done.lines()]) == (1, [str(order_id)])
    assert "1 rows have no events" in done.err
    assert rows(order_database) == before
    assert execute(order_database, "SELECT FROM waybill_operator_action") == []


def test_an_event_that_is_committed_while_rows_are_repaired_is_part_of_them(
    order_database: ServiceDatabase, tmp_path: Path
):
    (order_id,) = place_orders(1)
    execute(order_database, "UPDATE orders SET total = total + 1 WHERE order_id = %s", order_id)
    with transaction.atomic():
        unit_of_work.handle(service, [Caused(CancelOrder(order_id=order_id), cause())])
        place_elsewhere()  # at a later position: the first one is a gap
        running = Running(tmp_path, *REPAIR, *EXECUTE, **settings(order=order_database.service_url))
        running.__enter__()
        running.wait_for("the row's lock", lambda: execute(order_database, WAITS), 60)
    try:
        running.wait_for("its end", lambda: "set to the fold" in running.err, 60)
    finally:
        running.__exit__()
    found = execute(order_database, "SELECT version, status, total FROM orders WHERE order_id = %s", order_id)
    assert found == [(2, "CANCELLING", 3998)]
    assert outbox("rebuild", "--check", **settings(order=order_database.service_url)).code == 0


@pytest.mark.parametrize(
    "wrong",
    [
        ["--repair"],
        ["--repair", "--service", "order", "--execute"],
        ["--repair", "--service", "order", "--aggregate", "7"],
        ["--check", "--execute", "--reason", "why"],
        ["--check", "--repair"],
    ],
)
def test_what_is_to_be_repaired_must_be_said(wrong: list[str], order_database: ServiceDatabase):
    assert outbox("rebuild", *wrong, **settings(order=order_database.service_url)).code == 2


def pass_cursor(database: ServiceDatabase, position: int, missing: str = "{}") -> None:
    """Let the relay have passed a position, but for the gaps."""
    execute(database, "UPDATE waybill_outbox_cursor SET position = %s, missing = %s", position, missing)


def test_a_check_starts_at_its_checkpoint_and_compares_all_rows(order_database: ServiceDatabase, tmp_path: Path):
    ids = place_orders(3)
    where = settings(order=order_database.service_url)
    check = ["rebuild", "--check", "--json", "--checkpoints", str(tmp_path)]
    pass_cursor(order_database, 2)  # the third may still change
    assert outbox(*check, **where).code == 0
    assert (tmp_path / "order.fold").stat().st_mode & 0o777 == 0o600
    execute(order_database, "UPDATE waybill_outbox SET payload = 'unreadable' WHERE position < 3")  # is not read again
    execute(order_database, "UPDATE orders SET total = total + 1 WHERE order_id IN (%s, %s)", ids[0], ids[2])
    done = outbox(*check, **where)
    assert (done.code, {line["aggregate_id"] for line in done.lines()}) == (1, {str(ids[0]), str(ids[2])})
    assert "checkpoint" not in done.err
    execute(order_database, "DELETE FROM waybill_due_task")
    execute(order_database, "DELETE FROM waybill_outbox WHERE position < 3")
    done = outbox(*check, **where)
    assert {line["aggregate_id"] for line in done.lines() if line["fold"] is None} == {str(ids[0]), str(ids[1])}
    assert "order: the checkpoint is not used, everything is folded: the outbox has other events" in done.err


def test_a_checkpoint_that_other_code_has_made_is_not_used(order_database: ServiceDatabase, tmp_path: Path):
    place_orders(1)
    where = settings(order=order_database.service_url)
    pass_cursor(order_database, 1)
    check = ["rebuild", "--check", "--json", "--checkpoints", str(tmp_path)]
    assert outbox(*check, **where).code == 0
    with closing(sqlite3.connect(tmp_path / "order.fold")) as kept, kept:
        kept.execute("UPDATE checkpoint SET code = 'of the release before'")
        kept.execute("DELETE FROM folded")
    done = outbox(*check, **where)
    assert (done.code, "code has changed" in done.err) == (0, True)


def test_what_may_still_appear_below_the_cursor_is_not_in_the_checkpoint(
    order_database: ServiceDatabase, tmp_path: Path
):
    file, found = tmp_path / "order.fold", list[Difference]()
    with transaction.atomic():
        place_orders(1)
        place_elsewhere()
        pass_cursor(order_database, 2, "{1,1}")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(check_elsewhere, file, found).result(30) == 1
    pass_cursor(order_database, 2)
    assert check(service, UNWATCHED, found.append, file) == 2
    assert found == []


def check_elsewhere(file: Path, found: list[Difference]) -> int:
    """Check in a session of its own; returns how many events there were."""
    try:
        return check(service, UNWATCHED, found.append, file)
    finally:
        connection.close()
