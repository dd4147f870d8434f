"""The read model says the same of an order in whatever sequence its events come, and however often."""

import itertools
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from console_service.models import EventRow, OrderRow
from console_service.read_model import housekeeping, noting
from console_service.service import service
from schemas.events import OrderCancellationStarted, OrderPlaced
from tests.support.console import confirmed, message, note, notes_of
from tests.support.orders import LINES, placed
from waybill.consumer import handling, schema_ids
from waybill.contracts import codec
from waybill.runtime.settings import settings

pytestmark = pytest.mark.usefixtures("console_database")


def rows():
    return list(OrderRow.objects.order_by("order_id").values())


def test_an_order_stands_where_its_last_event_left_it():
    order_id = uuid4()
    note(confirmed(order_id))
    (row,) = rows()
    assert (row["status"], row["stock"], row["payment"]) == ("CONFIRMED", "COMMITTED", "CHARGED")
    assert (row["customer_id"], row["total"], row["currency"], row["version"]) == ("ann", 3998, "EUR", 4)
    assert EventRow.objects.filter(order_id=order_id).count() == 7


def test_the_sequence_in_which_topics_are_read_changes_nothing():
    order_id, since = uuid4(), datetime(2026, 1, 1, tzinfo=UTC)
    notes = notes_of(confirmed(order_id), since)
    noting.note(notes)
    expected = rows()
    for number, parts in enumerate(itertools.permutations([notes[:2], notes[2:4], notes[4:]])):
        OrderRow.objects.all().delete()
        EventRow.objects.all().delete()
        for part in parts:
            noting.note(part if number % 2 else part[::-1])
        assert rows() == expected
    assert EventRow.objects.count() == len(notes)


def test_what_comes_again_changes_nothing():
    notes = notes_of(confirmed(uuid4()))
    noting.note(notes)
    expected = rows()
    noting.note(notes[:3])
    noting.note(notes)
    assert rows() == expected
    assert EventRow.objects.count() == len(notes)


def test_a_batch_is_two_statements_however_many_orders_it_tells_of():
    notes = [one for _ in range(30) for one in notes_of(confirmed(uuid4()))]
    with CaptureQueriesContext(connection) as asked:
        noting.note(notes)
    assert len(asked) == 2
    assert OrderRow.objects.count() == 30


def test_a_message_that_comes_twice_is_noted_once_and_an_unreadable_one_stops_its_key_alone(console_database):
    with psycopg.connect(console_database.owner_url, autocommit=True) as owner:
        owner.execute("INSERT INTO waybill_schema_id VALUES (%s, 1, 1)", [OrderPlaced.event_type])
    schema_ids._writers.cache_clear()
    good, bad = placed(), placed()
    now = datetime.now(tz=UTC)
    framed = codec.frame(1, codec.encode(good))
    messages = [
        message(good, 1, now, framed),
        message(bad, 1, now, b"\0\0\0\0\1broken"),
    ]
    handling.process(service, messages, settings())
    handling.process(service, messages, settings())
    assert [row["order_id"] for row in rows()] == [good.order_id]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM received WHERE status = -1")
        assert cursor.fetchone() == (1,)


def test_an_order_that_ended_long_ago_goes_with_its_events_and_one_that_waits_stays():
    long_ago = datetime.now(tz=UTC) - timedelta(days=31)
    ended, waits, fresh = uuid4(), uuid4(), uuid4()
    note(confirmed(ended), long_ago)
    note([(placed(waits), 1)], long_ago)
    note(confirmed(fresh))
    assert housekeeping.forget(100)["orders"] == 1
    assert {row["order_id"] for row in rows()} == {waits, fresh}
    assert not EventRow.objects.filter(order_id=ended).exists()
    assert EventRow.objects.filter(order_id=waits).exists()


def test_a_cancellation_says_why():
    order_id = uuid4()
    started = OrderCancellationStarted(order_id=order_id, customer_id="ann", lines=LINES, reason="payment_declined")
    note([(placed(order_id), 1), (started, 2)])
    assert [(row["status"], row["reason"]) for row in rows()] == [("CANCELLING", "payment_declined")]
    assert EventRow.objects.get(version=2).detail == "reason payment_declined"


def test_it_reads_every_topic():
    assert service.topics == sorted(service.topics)
    assert {"order.events.v1", "inventory.events.v1", "payment.events.v1", "notification.events.v1"} <= set(
        service.topics
    )
