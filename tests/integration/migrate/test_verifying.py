"""Verify finds each way in which a service can hold something else, and nothing that only had not arrived yet."""

import threading

import pytest

from waybill.migrate.mapping.document import MappingError
from waybill.migrate.verify import Sides, Verified, connected, verify

MOVED = """
CREATE TABLE moved (
    order_id uuid PRIMARY KEY, state text, lines jsonb, total bigint, customer_id text, currency text DEFAULT 'EUR'
)
"""
ARRIVE = "INSERT INTO moved (order_id, state, lines, total, customer_id) VALUES (%s, %s, %s, %s, %s)"


@pytest.fixture
def moved(bookings):
    """Three rows, told of and arrived."""
    bookings.execute(MOVED)
    bookings.capture()
    bookings.execute("INSERT INTO booking (id, total) VALUES (1, 1), (2, 2), (10, 10)")
    bookings.execute("INSERT INTO booking_line (booking_id, item, amount) VALUES (2, 'a', 2)")
    bookings.drain()
    arrive(bookings)
    return bookings


def arrive(bookings):
    import json

    bookings.execute("TRUNCATE moved")
    for one in {told.aggregate_id: told for told in bookings.told()}.values():
        if hasattr(one.event, "total"):
            lines = json.dumps([line.to_avro() for line in one.event.lines])
            values = (one.event.payment_method, lines, one.event.total, one.event.customer_id)
            bookings.execute(ARRIVE, one.aggregate_id, *values)


def verified(bookings, settle_seconds=0.0) -> Verified:
    with connected(bookings.shop.url) as there:
        return verify(Sides(bookings.built(), "default", there), settle_seconds=settle_seconds, told=lambda *_: None)


def test_what_has_arrived_is_the_same(moved):
    found = verified(moved)
    assert (found.compared, found.differences) == (3, [])


@pytest.mark.parametrize(
    ("statement", "key", "what", "fields"),
    [
        ("UPDATE moved SET total = 3 WHERE total = 200", "2", "differs", {"total": (200, 3)}),
        ("UPDATE moved SET state = 'closed' WHERE total = 100", "1", "differs", {"state": ("new", "closed")}),
        ("UPDATE moved SET total = NULL WHERE total = 100", "1", "differs", {"total": (100, None)}),
        (
            "UPDATE moved SET lines = '[]' WHERE total = 200",
            "2",
            "differs",
            {"lines": ([{"sku": "a", "quantity": 1, "unit_price": 200}], [])},
        ),
        ("DELETE FROM moved WHERE total = 1000", "10", "missing", {}),
        ("DELETE FROM booking WHERE id = 10", "10", "not to be there", {}),
        ("UPDATE booking SET erased_at = now() WHERE id = 1", "1", "not to be there", {}),
        ("UPDATE booking SET state = '?' WHERE id = 1", "1", "refused: state: '?' has no entry in the map", {}),
        ("INSERT INTO moved (order_id) VALUES (gen_random_uuid())", None, "not to be there", {}),
    ],
)
def test_each_difference_is_named_with_its_key_and_fields(moved, statement, key, what, fields):
    moved.execute(statement)
    (one,) = verified(moved).differences
    assert (one.key, one.what, one.fields) == (key, what, fields)


def test_what_did_not_come_this_way_is_left_alone(moved):
    moved.execute("INSERT INTO moved (order_id, currency) VALUES (gen_random_uuid(), 'CHF')")
    assert verified(moved).differences == []


def test_a_row_that_arrives_meanwhile_is_read_again_and_does_not_count(moved):
    moved.execute("UPDATE booking SET total = 5 WHERE id = 1; DELETE FROM booking WHERE id = 10")
    moved.execute("INSERT INTO booking (id) VALUES (4)")
    moved.drain()
    late = threading.Timer(0.3, arrive, [moved])
    late.start()
    found = verified(moved, settle_seconds=20)
    late.join()
    assert (found.differences, found.again) == ([], 3)


def test_a_column_that_the_service_has_not_is_refused(moved):
    moved.execute("ALTER TABLE moved DROP lines")
    with pytest.raises(MappingError, match="moved has no column lines"):
        verified(moved)
