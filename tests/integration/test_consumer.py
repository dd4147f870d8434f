"""Every event is applied exactly once; one that cannot be becomes a dead letter, and all other keys flow."""

import json
from io import BytesIO
from uuid import uuid4

import psycopg
import pytest
from django.db import OperationalError, connection
from django_outbox_pattern.models import Received
from fastavro import schemaless_writer

from inventory_service.models import ReservationRow
from inventory_service.service import service
from order_service.models import PriceRow
from order_service.service import service as orders
from schemas.events import SOURCES, OrderConfirmed, OrderPlaced, ProductListed, ProductRepriced
from tests.support.inbox import FAILED, SUCCEEDED, WRITERS, dead_letters, message, process, record, reserved
from tests.support.orders import placed
from waybill.application import application
from waybill.consumer import handling, housekeeping, registered, schema_ids
from waybill.contracts import codec
from waybill.deciders.outcomes import ConsumerStopped
from waybill.inbox import inbox, redrive
from waybill.runtime.settings import settings

UNREGISTERED = 998


def test_the_same_event_twice_is_applied_once(inventory):
    once = message(placed())
    process(once, once)
    process(once)
    assert reserved() == 2
    assert Received.objects.filter(status=SUCCEEDED).count() == 1


def test_an_event_that_comes_again_late_does_not_set_back_what_followed_it(order_database):
    with psycopg.connect(order_database.owner_url, autocommit=True) as owner:
        for schema_id, event in WRITERS.items():
            owner.execute("INSERT INTO waybill_schema_id VALUES (%s, 1, %s)", [event.event_type, schema_id])
    schema_ids._writers.cache_clear()
    listed = message(ProductListed(sku="LAMP", name="Lamp", unit_price=1000, currency="EUR"))
    repriced = message(ProductRepriced(sku="LAMP", unit_price=2000, currency="EUR"), ce_sequence="2")
    for received in (listed, repriced, listed):
        handling.process(orders, [received], settings())
    assert PriceRow.objects.get(pk="LAMP").unit_price == 2000


def unregistered(event):
    """The event under a schema id that nobody has registered yet."""
    return message(event, value=codec.frame(UNREGISTERED, codec.encode(event)))


def register_late(inventory, event_class, schema_id=UNREGISTERED):
    with psycopg.connect(inventory.owner_url, autocommit=True) as owner:
        row = [event_class.event_type, schema_id]
        owner.execute(
            "INSERT INTO waybill_schema_id (event_type, schema_version, schema_id, current) VALUES (%s, 1, %s, false)",
            row,
        )


def confirmed(event):
    return OrderConfirmed(
        order_id=event.order_id, customer_id="ann", lines=event.lines, total=event.total, currency="EUR"
    )


def test_a_record_of_unknown_schema_id_holds_up_its_key_alone_until_the_id_is_registered(inventory):
    event = placed()
    process(unregistered(event), message(placed()))
    process(message(confirmed(event)), message(placed()))
    assert reserved() == 4
    first, behind = dead_letters()
    assert (first["schema_id"], behind["schema_id"]) == (UNREGISTERED, UNREGISTERED)
    assert "schema id 998 is not among the registered" in first["reason"]
    assert registered.redrive_registered(service, settings()) == registered.REGISTERED_SECONDS
    assert len(dead_letters()) == 2
    register_late(inventory, OrderPlaced)
    registered.redrive_registered(service, settings())
    assert dead_letters() == []
    assert ReservationRow.objects.get(pk=event.order_id).status == "COMMITTED"  # placed first, then confirmed


def test_what_fails_otherwise_once_its_schema_id_is_registered_stays_for_an_operator(inventory):
    event = placed()
    process(unregistered(event), message(event))
    register_late(inventory, OrderConfirmed)
    registered.redrive_registered(service, settings())
    assert "OrderConfirmed" in dead_letters()[0]["reason"]
    assert ["schema_id" in headers for headers in dead_letters()] == [False, False]
    assert inbox.registered(service.name) == set()


def test_a_key_whose_next_schema_id_is_unknown_too_waits_for_that(inventory):
    event = placed()
    process(unregistered(event))
    end = confirmed(event)
    process(message(end, value=codec.frame(UNREGISTERED + 1, codec.encode(end))), message(end))
    register_late(inventory, OrderPlaced)
    registered.redrive_registered(service, settings())
    assert [headers["schema_id"] for headers in dead_letters()] == [UNREGISTERED + 1, UNREGISTERED + 1]
    register_late(inventory, OrderConfirmed, UNREGISTERED + 1)
    registered.redrive_registered(service, settings())
    assert dead_letters() == []


def test_what_waited_a_day_for_its_schema_id_stays_for_an_operator(inventory):
    process(unregistered(placed()))
    with psycopg.connect(inventory.owner_url, autocommit=True) as owner:
        owner.execute("UPDATE received SET added = added - interval '25 hours'")
    register_late(inventory, OrderPlaced)
    registered.redrive_registered(service, settings())
    assert len(dead_letters()) == 1
    assert [one.failure for one in redrive.redrive(service, settings())] == [None]


def test_what_waits_for_its_schema_id_does_not_stop_the_consumer(inventory):
    process(*(unregistered(placed(quantity=1)) for _ in range(handling.FEWEST_BLOCKED_KEYS + 5)), *bad(1))
    process(message(placed()))
    assert (len(dead_letters()), reserved()) == (handling.FEWEST_BLOCKED_KEYS + 6, 2)


def newer(event):
    """The event as a later release writes it: in a version that this code does not know."""
    schema = json.loads((application().schemas / SOURCES[event.event_type, 1]).read_text())
    schema["fields"].append({"name": "note", "doc": "Added.", "type": ["null", "string"], "default": None})
    buffer = BytesIO()
    schemaless_writer(buffer, schema, {**event.to_avro(), "note": "new"})
    return json.dumps(schema), message(event, value=codec.frame(9, buffer.getvalue()))


def test_a_version_of_a_later_release_is_read_as_the_one_that_is_known_here(inventory):
    schema, received = newer(placed())
    with psycopg.connect(inventory.owner_url, autocommit=True) as owner:
        owner.execute("INSERT INTO waybill_schema_id VALUES (%s, 2, 9, %s)", [OrderPlaced.event_type, schema])
    process(received)
    assert (reserved(), dead_letters()) == (2, [])


def test_a_version_whose_schema_nobody_left_here_becomes_a_dead_letter(inventory):
    _, received = newer(placed())
    with psycopg.connect(inventory.owner_url, autocommit=True) as owner:
        owner.execute("INSERT INTO waybill_schema_id VALUES (%s, 2, 9)", [OrderPlaced.event_type])
    process(received)
    assert "OrderPlaced v2: known here up to v1; deploy the newer schemas" in dead_letters()[0]["reason"]


def test_the_inbox_row_and_the_effect_commit_together(inventory):
    with psycopg.connect(inventory.superuser_url, autocommit=True) as server:
        server.execute("ALTER TABLE reservations ADD CONSTRAINT no CHECK (status = 'NEVER')")
        process(message(placed()))
        server.execute("ALTER TABLE reservations DROP CONSTRAINT no")
    assert reserved() == 0
    assert not Received.objects.filter(status=SUCCEEDED).exists()
    assert "no" in dead_letters()[0]["reason"]


def test_types_that_nobody_reacts_to_leave_no_trace(inventory):
    other = message(placed(), ce_type="waybill.order.OrderHidden")
    process(other)
    assert not Received.objects.exists()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\x00\x00", "short"),
        (b"\x01\x00\x00\x00\x01rest", "first byte"),
        (b"\x00\x00\x00\x00\x01\x04", ""),
        (None, "empty"),
    ],
)
def test_an_unreadable_message_becomes_a_dead_letter_and_all_other_keys_flow(inventory, value, reason):
    broken = placed()
    bad = record(broken, message(broken).raw_headers, value)
    process(message(placed()), bad, message(placed()))
    assert reserved() == 4
    (headers,) = dead_letters()
    assert headers["key"] == broken.aggregate_id
    assert reason in headers["reason"]


def test_a_message_without_its_id_becomes_a_dead_letter(inventory):
    process(message(placed(), event_id="not-a-uuid"), message(placed()))
    assert reserved() == 2
    assert "ce_id" in dead_letters()[0]["reason"]


def test_later_messages_of_a_blocked_key_wait_behind_it(inventory):
    order_id = uuid4()
    event = placed(order_id)
    process(message(event, value=b"\x00\x00"))
    process(message(event), message(placed()))
    assert reserved() == 2
    assert [headers["key"] for headers in dead_letters()] == [str(order_id)] * 2
    assert "behind" in dead_letters()[1]["reason"]


def test_a_refused_event_becomes_a_dead_letter_with_the_reason(inventory):
    process(message(confirmed(placed())))
    assert "nothing is held" in dead_letters()[0]["reason"]
    assert not ReservationRow.objects.exists()


def test_failures_of_the_environment_leave_no_dead_letter(inventory):
    with psycopg.connect(inventory.superuser_url, autocommit=True) as server:
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'test_service'")
    once = message(placed())
    with pytest.raises(OperationalError):
        process(once)
    connection.close()
    process(once)
    assert reserved() == 2
    assert dead_letters() == []


def bad(number):
    """Messages that nobody can read, each of a key of its own."""
    return [message(placed(), value=b"\x00\x00") for _ in range(number)]


def test_a_consumer_that_would_block_most_keys_stops_instead(inventory):
    process(*(message(placed(quantity=1)) for _ in range(5)))
    with pytest.raises(ConsumerStopped, match="WAYBILL_DEAD_LETTER_LIMIT=1"):
        process(*bad(handling.FEWEST_BLOCKED_KEYS + 5))
    assert len(dead_letters()) == handling.FEWEST_BLOCKED_KEYS
    last = bad(1)
    with pytest.raises(ConsumerStopped):
        process(*last)
    process(message(placed(quantity=1)))
    assert (len(dead_letters()), reserved()) == (handling.FEWEST_BLOCKED_KEYS, 6)
    handling.process(service, last, settings().model_copy(update={"dead_letter_limit": 1.0}))
    assert len(dead_letters()) == handling.FEWEST_BLOCKED_KEYS + 1


def test_a_few_bad_events_among_many_good_ones_stop_nobody(inventory):
    process(*(message(placed(quantity=1)) for _ in range(60)), *bad(handling.FEWEST_BLOCKED_KEYS + 5))
    assert len(dead_letters()) == handling.FEWEST_BLOCKED_KEYS + 5


def test_housekeeping_forgets_what_is_old_in_portions_and_keeps_dead_letters(inventory, monkeypatch):
    process(*(message(placed()) for _ in range(4)))
    process(message(placed(), value=b"\x01not ours"))
    with psycopg.connect(inventory.owner_url, autocommit=True) as owner:
        owner.execute(
            "UPDATE received SET added = added - interval '31 days', expires_at = expires_at - interval '31 days' "
            "WHERE id NOT IN (SELECT id FROM received WHERE status = 2 ORDER BY id DESC LIMIT 1)"
        )
    monkeypatch.setattr(housekeeping, "FORGET_ROWS", 2)
    assert housekeeping.clean(service, settings()) == 1.0
    assert housekeeping.clean(service, settings()) == housekeeping.HOUSEKEEPING_SECONDS
    assert sorted(Received.objects.values_list("status", flat=True)) == [FAILED, SUCCEEDED]
