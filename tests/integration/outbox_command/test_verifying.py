"""The completeness proof finds what is lost, reordered, a ghost or not received, and nothing where all is well."""

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer

from devstack.harness.databases import Server, ServiceDatabase
from devstack.harness.stack import Stack
from devstack.harness.wait import wait_until
from outbox_relay.operations.verify.mark import AGAIN
from tests.support.outbox_command import Ended, execute, outbox, place_orders, settings
from tests.support.relays import Outbox, append, append_many, relay
from tests.support.shop import Shop
from tests.support.verifying import published, send, verify


def test_what_is_published_and_what_still_waits_is_no_fault(own_outbox: Outbox):
    published(own_outbox)
    with own_outbox.connect() as writer:
        append(writer, own_outbox.topic, "a", 4)
        append(writer, None, "b", 4)
    done, counts, faults = verify(own_outbox)
    assert (done.code, faults) == (0, [])
    assert (counts["events"], counts["records"], counts["waiting"], counts["repeated"]) == (7, 6, 1, 0)


def test_an_inbox_is_not_passed_over_where_its_service_has_not_recorded_what_it_reacts_to(own_outbox: Outbox):
    published(own_outbox)
    own_outbox.execute("TRUNCATE waybill_reaction, waybill_reactions_recorded")
    done = outbox("verify", "--no-rows", **settings(own_outbox.kafka, shop=own_outbox.database.service_url))
    assert done.code == 4
    assert "shop has not recorded what it reacts to" in done.err
    assert "run its migrations, as in python manage.py migrate" in done.err
    assert own_outbox.execute("SELECT count(*) FROM waybill_verified_position") == [(0,)]


def test_an_event_that_the_cursor_passed_and_no_topic_has_is_lost(own_outbox: Outbox):
    published(own_outbox)
    with own_outbox.connect() as writer:
        append(writer, own_outbox.topic, "a", 4)
    own_outbox.execute("UPDATE waybill_outbox_cursor SET position = 7")
    done, counts, faults = verify(own_outbox)
    ((event_id,),) = own_outbox.execute("SELECT event_id FROM waybill_outbox WHERE position = 7")
    (fault,) = faults
    assert (done.code, counts["lost"], fault["kind"], fault["service"], fault["topic"]) == (
        1,
        1,
        "lost",
        "shop",
        own_outbox.topic,
    )
    assert (fault["position"], fault["key"], fault["version"], fault["event_id"]) == (7, "a", 4, str(event_id))
    people = outbox("verify", "--no-rows", **settings(own_outbox.kafka, shop=own_outbox.database.service_url))
    assert "lost          shop          position 7 " in people.out
    assert f"outbox replay --service shop --event {event_id}" in people.out


def test_a_record_that_no_database_committed_is_a_ghost(own_outbox: Outbox):
    published(own_outbox)
    place = send(own_outbox, "a", uuid.uuid4(), 4)
    done, counts, (fault,) = verify(own_outbox)
    assert (done.code, counts["ghost"], counts["lost"]) == (1, 1, 0)
    assert (fault["topic"], fault["key"]) == (own_outbox.topic, "a")
    assert (fault["partition"], fault["offset"]) == place


# A header's value that no program of ours writes: too long for Python, too large for a column, no number, no text.
@pytest.mark.slow
@pytest.mark.parametrize("sequence", ["9" * 5_000, str(2**63), "-1", "0", "²", b"\xff\x00", "\x1b[2J"])
def test_a_version_that_nobody_can_read_is_named_and_ends_nothing(own_outbox: Outbox, sequence: str | bytes):
    published(own_outbox)
    ((first,),) = own_outbox.execute("SELECT event_id FROM waybill_outbox WHERE position = 1")
    partition, offset = send(own_outbox, "a", first, sequence)
    done, counts, (fault,) = verify(own_outbox)
    assert (done.code, counts["unreadable"], counts["reordered"]) == (1, 1, 0)
    assert (fault["kind"], fault["topic"]) == ("unreadable", own_outbox.topic)
    assert (fault["partition"], fault["offset"]) == (partition, offset)


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
    assert {fault["kind"] for fault in faults} == {"unreadable", "ghost"}


@pytest.mark.slow
def test_a_proof_starts_where_the_last_one_that_found_nothing_ended(own_outbox: Outbox):
    with own_outbox.connect() as writer:
        append_many(writer, own_outbox.topic, AGAIN + 2_000)
        with relay(own_outbox):
            own_outbox.wait_for_cursor(AGAIN + 2_000, deadline_seconds=60)
        assert verify(own_outbox)[0].code == 0
        append(writer, own_outbox.topic, "late", 1)
    own_outbox.execute("UPDATE waybill_outbox_cursor SET position = %s", AGAIN + 2_001)  # acknowledged, and gone
    for _ in range(2):  # a fault moves no mark
        done, counts, (fault,) = verify(own_outbox)
        assert (done.code, fault["kind"], fault["key"]) == (1, "lost", "late")
        assert (counts["after"], counts["events"]) == ({"shop": 2_000}, AGAIN + 1)
    _, everything, _ = verify(own_outbox, "--full")
    assert (everything["after"], everything["events"]) == ({"shop": 0}, AGAIN + 2_001)
    _, newest, _ = verify(own_outbox, "--since", str(AGAIN + 2_000))
    assert (newest["after"], newest["events"], newest["lost"]) == ({"shop": AGAIN + 1_999}, 2, 1)


def test_what_waits_for_the_relay_or_becomes_a_dead_letter_is_proved_again(own_outbox: Outbox):
    published(own_outbox)
    with own_outbox.connect() as writer:
        append(writer, own_outbox.topic, "a", 4)
    assert verify(own_outbox)[0].code == 0
    assert own_outbox.execute("SELECT position FROM waybill_verified_position") == [(6,)]
    assert verify(own_outbox, "--since", "1h")[1]["waiting"] == 1


def test_a_topic_that_was_made_anew_is_found_although_all_of_it_was_proved(own_outbox: Outbox):
    published(own_outbox)
    assert verify(own_outbox)[0].code == 0
    own_outbox.execute("UPDATE waybill_outbox SET topic = topic || '.anew'")  # where nothing stands
    assert verify(own_outbox)[1]["lost"] == 6


def test_a_copy_is_counted_and_no_fault_and_a_late_first_sight_is(own_outbox: Outbox):
    published(own_outbox)
    ((first,),) = own_outbox.execute(
        "SELECT event_id FROM waybill_outbox WHERE aggregate_id = 'a' AND aggregate_version = 1"
    )
    send(own_outbox, "a", first, 1)
    done, counts, _ = verify(own_outbox)
    assert (done.code, counts["repeated"], counts["reordered"]) == (0, 1, 0)
    with own_outbox.connect() as writer:
        for version in (4, 5):
            append(writer, own_outbox.topic, "a", version)
    for position in (8, 7):
        ((event_id, version),) = own_outbox.execute(
            "SELECT event_id, aggregate_version FROM waybill_outbox WHERE position = %s", position
        )
        send(own_outbox, "a", event_id, version)
    done, counts, _ = verify(own_outbox)
    assert (done.code, counts["reordered"]) == (1, 1)


def test_a_version_that_is_missing_and_a_cursor_beyond_the_end_are_found(own_outbox: Outbox):
    published(own_outbox)
    own_outbox.execute("DELETE FROM waybill_outbox WHERE position IN (3, 6)")
    _, counts, faults = verify(own_outbox)
    (version,) = [fault for fault in faults if fault["kind"] == "versions"]
    assert (version["aggregate_type"], version["key"], version["version"], version["position"]) == ("order", "a", 3, 5)
    assert [fault["service"] for fault in faults if fault["kind"] == "cursor"] == ["shop"]
    assert counts["ghost"] == 2


@pytest.mark.slow
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
def inventory(database_server: Server) -> Iterator[ServiceDatabase]:
    """The database of a service that reacts to orders."""
    with database_server.fresh("inventory_service") as database:
        yield database


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


@pytest.mark.slow
def test_the_whole_system_is_proved_and_a_hole_in_an_inbox_is_found(orders_at_rest: Stack):
    stack = orders_at_rest
    home = {"WAYBILL_HOME": str(stack.home)}
    runs: list[Ended] = []

    def proved() -> bool:
        runs[:] = [outbox("verify", "--json", **home)]
        return runs[0].code == 0

    wait_until(proved, deadline_seconds=30, what="the proof", every_seconds=0.5, seen=runs)
    assert runs[0].lines()[-1]["events"] > 0
    assert outbox("verify", "--full", **home).code == 0
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
    fault, counts = done.lines()
    assert (done.code, counts["not_received"], fault["service"]) == (1, 1, "inventory")
    assert f"--event {fault['event_id']} --to-consumer inventory_service" in fault["remedy"]


def test_what_retention_took_before_a_service_read_it_is_found_by_its_inbox(
    own_outbox: Outbox, inventory: ServiceDatabase
):
    with own_outbox.connect() as writer:
        for version in (1, 2):
            append(writer, own_outbox.topic, "a", version)
    own_outbox.execute("UPDATE waybill_outbox SET topic = 'order.events.v1', recorded_at = now() - interval '20 days'")
    own_outbox.execute("UPDATE waybill_outbox_cursor SET position = 2")
    ((first,), (second,)) = own_outbox.execute("SELECT event_id FROM waybill_outbox ORDER BY position")
    places = settings(own_outbox.kafka, order=own_outbox.database.service_url, inventory=inventory.service_url)

    def faults() -> list[dict[str, Any]]:
        found = outbox("verify", "--no-rows", "--json", **places).lines()[:-1]
        return [one for one in found if one.get("event_id") in {str(first), str(second)}]

    assert faults() == []  # an inbox that began later was never to have them
    receive = (
        "INSERT INTO received (id, msg_id, added, expires_at, retry, status) VALUES"
        " (gen_random_uuid(), %s, now() - interval '21 days', now() + interval '9 days', 0, 2)"
    )
    execute(inventory, receive, "inventory_service:an-earlier-one")
    execute(inventory, receive, f"inventory_service:{first}")
    (fault,) = faults()
    assert (fault["kind"], fault["service"], fault["event_id"]) == ("not received", "inventory", str(second))
    assert "its topic no longer has it" in fault["says"]
    assert "--to-consumer inventory_service" in fault["remedy"]
