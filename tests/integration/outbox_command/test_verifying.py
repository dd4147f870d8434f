"""The completeness proof finds what is lost, reordered, a ghost or not received, and nothing where all is well."""

import uuid
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer

from tests.e2e.conftest import Shop
from tests.integration.outbox_command.parts import Ended, execute, outbox, place_orders, settings
from tests.integration.relay.parts import Outbox, append, relay
from tests.support.databases import ServiceDatabase
from tests.support.stack import Stack
from tests.support.wait import wait_until


def verify(own: Outbox) -> tuple[Ended, dict[str, int], list[tuple[str, str]]]:
    """Verify without the fold: these payloads are no events. Returns counts, and the kind and place of each fault."""
    done = outbox("verify", "--no-rows", "--json", **settings(own.kafka, shop=own.database.service_url))
    *faults, counts = done.lines()
    return done, counts, [(fault["kind"], fault["place"]) for fault in faults]


def published(own: Outbox) -> None:
    """Publish versions 1 to 3 of two aggregates."""
    with own.connect() as writer, relay(own):
        for version in (1, 2, 3):
            append(writer, own.topic, "a", version)
            append(writer, own.topic, "b", version)
        own.wait_for_cursor(6)


def send(own: Outbox, key: str, event_id: object, version: int | str | bytes) -> tuple[int, int]:
    """Put a record on the topic past the relay; returns its partition and offset."""
    at: list[tuple[int, int]] = []
    producer = Producer({"bootstrap.servers": own.kafka})
    headers: Any = [("ce_id", str(event_id)), ("ce_sequence", version if isinstance(version, bytes) else str(version))]
    delivered = lambda _, message: at.append((message.partition(), message.offset()))  # noqa: E731 - what Kafka calls
    producer.produce(own.topic, b"x", key, headers=headers, on_delivery=delivered)
    assert producer.flush(10) == 0
    return at[0]


def test_what_is_published_and_what_still_waits_is_no_fault(own_outbox: Outbox):
    published(own_outbox)
    with own_outbox.connect() as writer:
        append(writer, own_outbox.topic, "a", 4)
        append(writer, None, "b", 4)
    done, counts, faults = verify(own_outbox)
    assert (done.code, faults) == (0, [])
    assert (counts["events"], counts["records"], counts["waiting"], counts["repeated"]) == (7, 6, 1, 0)


def test_an_event_that_the_cursor_passed_and_no_topic_has_is_lost(own_outbox: Outbox):
    published(own_outbox)
    with own_outbox.connect() as writer:
        append(writer, own_outbox.topic, "a", 4)
    own_outbox.execute("UPDATE outbox_cursor SET position = 7")
    done, counts, faults = verify(own_outbox)
    assert (done.code, counts["lost"], faults) == (1, 1, [("lost", "position 7")])


def test_a_record_that_no_database_committed_is_a_ghost(own_outbox: Outbox):
    published(own_outbox)
    send(own_outbox, "a", uuid.uuid4(), 4)
    done, counts, _ = verify(own_outbox)
    assert (done.code, counts["ghost"], counts["lost"]) == (1, 1, 0)


# A header's value that no program of ours writes: too long for Python, too large for a column, no number, no text.
@pytest.mark.parametrize("sequence", ["9" * 5_000, str(2**63), "-1", "0", "²", b"\xff\x00", "\x1b[2J"])
def test_a_version_that_nobody_can_read_is_named_and_ends_nothing(own_outbox: Outbox, sequence: str | bytes):
    published(own_outbox)
    ((first,),) = own_outbox.execute("SELECT event_id FROM outbox WHERE position = 1")
    partition, offset = send(own_outbox, "a", first, sequence)
    done, counts, faults = verify(own_outbox)
    assert (done.code, counts["unreadable"], counts["reordered"]) == (1, 1, 0)
    assert faults == [("unreadable", f"{own_outbox.topic}/{partition}/{offset}")]


def test_whatever_bytes_stand_in_key_headers_and_id_are_survived(own_outbox: Outbox):
    published(own_outbox)
    producer = Producer({"bootstrap.servers": own_outbox.kafka})
    hostile = [b"\x00", b"\xff\xfe", b"", b"\x1b]0;x\x07", b"9" * 6_000, None]
    for part in hostile:
        headers: Any = [("ce_id", part), ("ce_sequence", part), ("ce_type", part), ("", part)]
        producer.produce(own_outbox.topic, part, part, headers=headers)
    assert producer.flush(10) == 0
    done, counts, faults = verify(own_outbox)
    assert (done.code, counts["records"], len(faults)) == (1, 6 + len(hostile), len(hostile))
    assert {kind for kind, _ in faults} == {"unreadable", "ghost"}


def test_a_copy_is_counted_and_no_fault_and_a_late_first_sight_is(own_outbox: Outbox):
    published(own_outbox)
    ((first,),) = own_outbox.execute("SELECT event_id FROM outbox WHERE aggregate_id = 'a' AND aggregate_version = 1")
    send(own_outbox, "a", first, 1)
    done, counts, _ = verify(own_outbox)
    assert (done.code, counts["repeated"], counts["reordered"]) == (0, 1, 0)
    with own_outbox.connect() as writer:
        for version in (4, 5):
            append(writer, own_outbox.topic, "a", version)
    for position in (8, 7):
        ((event_id, version),) = own_outbox.execute(
            "SELECT event_id, aggregate_version FROM outbox WHERE position = %s", position
        )
        send(own_outbox, "a", event_id, version)
    done, counts, _ = verify(own_outbox)
    assert (done.code, counts["reordered"]) == (1, 1)


def test_a_version_that_is_missing_and_a_cursor_beyond_the_end_are_found(own_outbox: Outbox):
    published(own_outbox)
    own_outbox.execute("DELETE FROM outbox WHERE position IN (3, 6)")
    _, counts, faults = verify(own_outbox)
    assert ("versions", "order/a") in faults
    assert ("cursor", "outbox_cursor") in faults
    assert counts["ghost"] == 2


def test_a_broker_that_is_away_leaves_with_4(order_database: ServiceDatabase):
    done = outbox("verify", **settings(order=order_database.service_url))
    assert (done.code, done.out, len(done.err.splitlines())) == (4, "", 1)


def test_a_row_that_is_not_the_fold_of_its_events_is_named_with_the_column(order_database: ServiceDatabase):
    ids = place_orders(3)
    where = settings(order=order_database.service_url)
    assert outbox("rebuild", "--check", **where).code == 0
    execute(order_database, "UPDATE orders SET total = total + 1 WHERE order_id = %s", ids[0])
    execute(order_database, "DELETE FROM orders WHERE order_id = %s", ids[1])
    done = outbox("rebuild", "--check", "--json", **where)
    by_id = {one["aggregate_id"]: one for one in done.lines()}
    assert (done.code, by_id.keys()) == (1, {str(ids[0]), str(ids[1])})
    assert (by_id[str(ids[0])]["row"], by_id[str(ids[0])]["fold"]) == ({"total": 3999}, {"total": 3998})
    assert by_id[str(ids[1])]["row"] is None


@pytest.fixture
def orders_at_rest(stack: Stack) -> Stack:
    """The whole system, with an order that was confirmed and one that was cancelled."""
    staff = stack.client("inventory", stack.state["tokens"]["staff"])
    with stack.client("order") as customer, staff:
        shop = Shop(stack, customer, staff)
        sku = shop.product(5)
        for order in [shop.order(sku), shop.order(sku, method="tok_declined")]:
            shop.at_rest(order)
    return stack


def test_the_whole_system_is_proved_and_a_hole_in_an_inbox_is_found(orders_at_rest: Stack):
    stack = orders_at_rest
    home = {"WAYBILL_HOME": str(stack.home)}
    runs: list[Ended] = []

    def proved() -> bool:
        runs[:] = [outbox("verify", "--json", **home)]
        return runs[0].code == 0

    wait_until(proved, deadline_seconds=30, what="the proof", every_seconds=0.5, seen=runs)
    assert runs[0].lines()[-1]["events"] > 0
    with psycopg.connect(stack.database("inventory"), autocommit=True) as inbox:
        row = inbox.execute(
            "DELETE FROM received WHERE id = (SELECT id FROM received WHERE status = 2 ORDER BY added LIMIT 1)"
            " RETURNING id, msg_id, added, expires_at, retry, status"
        ).fetchone()
        try:
            done = outbox("verify", "--no-rows", "--json", **home)
        finally:
            inbox.execute(
                "INSERT INTO received (id, msg_id, added, expires_at, retry, status) VALUES (%s, %s, %s, %s, %s, %s)",
                row,
            )
    assert (done.code, done.lines()[-1]["not_received"]) == (1, 1)
