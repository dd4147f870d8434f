"""Handlers of a project that has no deciders: each event once, and one that cannot be handled stops its key alone."""

import itertools

import psycopg
import pytest
from django.db import OperationalError, connection
from django_outbox_pattern.models import Received

from schemas.events import OrderConfirmed, OrderPlaced
from tests.support.orders import placed
from waybill.consumer import handling, schema_ids
from waybill.consumer.message import Message
from waybill.contracts import codec
from waybill.inbox import redrive
from waybill.inbox.handlers import Batched, Handlers
from waybill.observability.telemetry import new_id
from waybill.runtime.settings import settings

PLACED_ID = 1
offsets = itertools.count()


@pytest.fixture
def points(service_database, order_database):
    """A table that a handler writes to, and the schema id of the one event."""
    with psycopg.connect(service_database.owner_url, autocommit=True) as owner:
        owner.execute("INSERT INTO waybill_schema_id VALUES (%s, 1, %s)", [OrderPlaced.event_type, PLACED_ID])
        owner.execute("CREATE TABLE points (guest text, version integer)")
        owner.execute("GRANT ALL ON points TO test_service")
    schema_ids._writers.cache_clear()
    return order_database


def grant(event, message):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO points VALUES (%s, %s)", [event.customer_id, message.version])


def granted():
    with connection.cursor() as cursor:
        cursor.execute("SELECT guest, version FROM points ORDER BY guest, version")
        return cursor.fetchall()


def message(event, *, version=1, event_id=None):
    given = {"ce_id": event_id or new_id(), "ce_type": event.event_type, "ce_sequence": str(version)}
    headers = tuple((name, said.encode()) for name, said in given.items())
    value = codec.frame(PLACED_ID, codec.encode(event))
    return Message(event.topic, 0, next(offsets), event.aggregate_id.encode(), headers, value, 0)


def process(handlers, *messages):
    handling.process(handlers, messages, settings())


def of(*handlers):
    return Handlers("loyalty", tuple((OrderPlaced, handler) for handler in handlers))


def dead_letters():
    return [row.headers["reason"] for row in Received.objects.filter(status=-1).order_by("id")]


def test_an_event_that_comes_twice_is_handled_once(points):
    once = message(placed())
    process(of(grant), once, once)
    process(of(grant), once)
    assert len(granted()) == 1


def test_every_handler_of_an_event_is_called_in_one_transaction(points):
    def fails(event, message):
        raise LookupError("no such guest")

    process(of(grant, fails), message(placed()))
    assert granted() == []
    assert dead_letters() == ["LookupError: no such guest"]


def test_a_handler_that_fails_stops_its_key_alone_and_is_redriven_in_order(points):
    bad, good = placed(), placed()
    repaired = False

    def grant_if_repaired(event, message):
        if event.order_id == bad.order_id and not repaired:
            raise LookupError("no such guest")
        grant(event, message)

    handlers = of(grant_if_repaired)
    process(handlers, message(bad), message(good, version=7), message(bad, version=2))
    process(handlers, message(bad, version=3))
    assert [version for _, version in granted()] == [7]
    assert dead_letters() == ["LookupError: no such guest", *["behind a dead letter of its key"] * 2]
    repaired = True
    assert [one.failure for one in redrive.redrive(handlers, settings())] == [None] * 3
    assert [version for _, version in granted()] == [1, 2, 3, 7]
    assert dead_letters() == []


def test_a_batched_handler_gets_a_batch_at_once_and_each_alone_where_it_fails(points):
    batches, bad = [], placed()

    def together(batch):
        batches.append(len(batch))
        for event, one in batch:
            if event.order_id == bad.order_id:
                raise LookupError("no such guest")
            grant(event, one)

    handlers = of(grant, Batched(together))
    process(handlers, message(placed()), message(placed(), version=2))
    assert (batches, [version for _, version in granted()]) == ([2], [1, 1, 2, 2])
    process(handlers, message(bad), message(placed(), version=3))
    assert (batches[1], batches[-1], len(granted())) == (2, 1, 6)
    assert dead_letters() == ["LookupError: no such guest"]


def test_a_handler_is_tried_again_before_its_message_becomes_a_dead_letter(points):
    calls = []

    def grant_at_the_third_call(event, message):
        calls.append(event)
        if len(calls) < 3:
            raise LookupError("not yet")
        grant(event, message)

    process(of(grant_at_the_third_call), message(placed()))
    assert len(granted()) == 1
    assert dead_letters() == []


def test_a_database_that_is_away_counts_against_no_message(points):
    def away(event, message):
        raise OperationalError("server closed the connection")

    with pytest.raises(OperationalError):
        process(of(away), message(placed()))
    assert Received.objects.count() == 0


def test_what_nobody_handles_is_passed(points):
    other = OrderConfirmed(order_id=placed().order_id, customer_id="ann", lines=(), total=1, currency="EUR")
    process(of(grant), message(other))
    assert Received.objects.count() == 0
