"""A row that was deleted from an outbox is put back from its record on the topic."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

from devstack.harness.databases import ServiceDatabase
from devstack.harness.stack import Stack
from devstack.harness.wait import wait_until
from outbox_relay.operations.events import restore
from tests.support.outbox_command import Ended, execute, outbox, place_orders
from tests.support.relays import read_topic
from tests.support.shop import Shop

TOPIC = "order.events.v1"
ROW = """
SELECT event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version, payload, metadata,
       recorded_at, position
FROM waybill_outbox WHERE aggregate_id = %s AND aggregate_version = %s
"""
EXECUTE = ["--execute", "--reason", "deleted by hand", "--by", "ana"]


@dataclass
class Orders:
    """The stack with orders at rest, and its order service's database as its superuser."""

    stack: Stack
    ids: list[str]
    database: psycopg.Connection

    def row(self, order: str, version: int) -> tuple[Any, ...] | None:
        return self.database.execute(ROW, [order, version]).fetchone()

    def outbox(self, *arguments: str, **more: str) -> Ended:
        return outbox(*arguments, WAYBILL_HOME=str(self.stack.home), **more)

    def place(self, event_id: object) -> list[str]:
        """Choose the event's record."""
        found = {one.headers["ce_id"]: one for one in read_topic(self.stack.state["kafka"], TOPIC)}
        topic, partition, offset = found[str(event_id)].place.split("/")
        return ["--service", "order", "--topic", topic, "--partition", partition, "--offset", offset]


def owner_url(stack: Stack) -> str:
    """The order service's database as its owner."""
    secret = json.loads((stack.home / "stack.json").read_text())["secrets"]["order_owner"]
    parts = urlsplit(stack.database("order"))
    return urlunsplit(parts._replace(netloc=f"order_owner:{secret}@{parts.netloc.rpartition('@')[2]}"))


@pytest.fixture
def orders(stack: Stack) -> Iterator[Orders]:
    staff = stack.client("inventory", stack.state["tokens"]["staff"])
    with (
        stack.client("order") as customer,
        staff,
        psycopg.connect(stack.database("order"), autocommit=True) as database,
    ):
        shop = Shop(stack, customer, staff)
        sku = shop.product(9)
        placed = [shop.order(sku) for _ in range(2)]
        for order in placed:
            shop.at_rest(order)
        yield Orders(stack, [order["id"] for order in placed], database)


def in_the_record(row: tuple[Any, ...] | None) -> list[Any]:
    """Return a row without what its record does not hold: who asked, and by which request."""
    hidden = {"actor", "request_id"}
    return [{n: v for n, v in one.items() if n not in hidden} if isinstance(one, dict) else one for one in row or ()]


@pytest.mark.slow
def test_a_deleted_row_is_named_restored_and_then_nothing_is_wrong(orders: Orders):
    first, second = orders.ids

    def clean() -> bool:
        return orders.outbox("verify", "--json").code == 0

    wait_until(clean, deadline_seconds=60, what="the proof", every_seconds=0.5)
    owner = {"WAYBILL_OWNER_DATABASE_URL": owner_url(orders.stack)}
    for order, version in ((first, 2), (second, 1)):
        before = orders.row(order, version)
        assert before is not None
        place = orders.place(before[0])
        orders.database.execute("DELETE FROM waybill_due_task WHERE event_id = %s", [before[0]])
        orders.database.execute("DELETE FROM waybill_outbox WHERE event_id = %s", [before[0]])
        named = orders.outbox("verify", "--json", "--no-rows")
        assert (named.code, str(before[0]) in named.out) == (1, True)
        dry = orders.outbox("restore", "--json", *place)
        assert dry.code == 0, dry.err
        assert dry.lines()[0]["position"] == before[-1]
        assert orders.row(order, version) is None
        refused = orders.outbox("restore", *place, *EXECUTE)
        assert (refused.code, "WAYBILL_OWNER_DATABASE_URL is not set" in refused.err) == (2, True)
        assert orders.outbox("restore", *place, *EXECUTE, **owner).code == 0
        assert in_the_record(orders.row(order, version)) == in_the_record(before)
        again = orders.outbox("restore", *place, *EXECUTE, **owner)
        assert (again.code, "is in the outbox, at position" in again.err) == (1, True)
    assert orders.outbox("verify").code == 0
    assert orders.outbox("rebuild", "--check").code == 0
    audit = orders.database.execute(
        "SELECT operator, reason FROM waybill_operator_action WHERE verb = 'restore'"
    ).fetchall()
    assert audit == [("ana", "deleted by hand")] * 2


def test_what_is_no_event_of_the_service_or_no_record_is_refused(orders: Orders):
    missing = ["--topic", TOPIC, "--partition", "0", "--offset", "999999"]
    done = orders.outbox("restore", "--service", "order", *missing)
    assert (done.code, "the topic has no such record" in done.err) == (1, True)
    event_id, *_ = orders.row(orders.ids[0], 1) or ()
    place = ["--service", "payment", *orders.place(event_id)[2:]]
    done = orders.outbox("restore", *place)
    assert (done.code, "written by '/waybill/order_service'" in done.err) == (1, True)


def test_the_row_gets_the_free_position_that_is_nearest_in_time(order_database: ServiceDatabase):
    *_, last = map(str, place_orders(5))
    execute(order_database, "DELETE FROM waybill_due_task")
    execute(order_database, "UPDATE waybill_outbox_cursor SET position = 5")
    rows = execute(order_database, "SELECT position, aggregate_id, recorded_at FROM waybill_outbox ORDER BY position")
    (_, first, _), *_ = rows
    with psycopg.connect(order_database.service_url, autocommit=True) as connection:
        assert restore.find_position(connection, lost(first, 2, rows[1][2])) is None  # the next one of all
        for position in (2, 4):
            execute(order_database, "DELETE FROM waybill_outbox WHERE position = %s", position)
        for position, key, recorded_at in (rows[1], rows[3]):
            assert restore.find_position(connection, lost(key, 1, recorded_at)) == position
        execute(order_database, "DELETE FROM waybill_outbox WHERE position = 5")
        assert restore.find_position(connection, lost(last, 1, rows[4][2])) == 4
        with pytest.raises(restore.NotRestorable, match=r"version 1 of .* is taken by event"):
            restore.find_position(connection, lost(first, 1, rows[0][2]))


def test_a_version_whose_neighbours_are_next_to_each_other_has_no_position(order_database: ServiceDatabase):
    first, *_ = map(str, place_orders(2))
    third = "UPDATE waybill_outbox SET aggregate_id = %s, aggregate_version = 3 WHERE position = 2"
    execute(order_database, third, first)
    with (
        psycopg.connect(order_database.service_url, autocommit=True) as connection,
        pytest.raises(restore.NotRestorable, match="no position is free"),
    ):
        restore.find_position(connection, lost(first, 2, datetime.now(UTC)))


def lost(key: str, version: int, recorded_at: datetime) -> restore.Lost:
    """A row that is to be restored."""
    event_id = uuid4()
    return restore.Lost(event_id, TOPIC, "order", key, version, "waybill.order.OrderPlaced", 1, b"", {}, recorded_at)
