"""What is queued becomes the present state of its aggregate, once, and never an older one."""

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Barrier, Event

import psycopg
import pytest
from django.db import connection

from schemas.events import OrderCancelled, OrderLine, OrderPlaced
from tests.support.moving import MAPPING, Bookings
from waybill.migrate import appending

HELD = "SELECT key, reason FROM waybill_capture_held ORDER BY key"


@pytest.fixture
def captured(bookings):
    bookings.capture()
    return bookings


def test_a_row_with_its_lines_is_one_event_and_unchanged_none(captured):
    captured.execute("INSERT INTO booking (id, owner_id, total) VALUES (1, 5, 19.99)")
    captured.execute(
        "INSERT INTO booking_line (booking_id, item, quantity, amount) VALUES (1, 'b', 2, 5), (1, 'a', NULL, 9.99)"
    )
    assert captured.drain() == appending.Done(taken=2, appended=1)
    ((key, version, event),) = captured.told()
    assert isinstance(event, OrderPlaced)
    assert (key, version, event.total, event.payment_method) == (captured.id_of(1), 1, 1999, "new")
    assert event.lines == (
        OrderLine(sku="b", quantity=2, unit_price=500),
        OrderLine(sku="a", quantity=1, unit_price=999),
    )
    captured.execute("UPDATE booking SET remark = 'x'; UPDATE booking_line SET quantity = quantity")
    assert captured.drain() == appending.Done(taken=2, unchanged=1)
    captured.execute("UPDATE booking SET state = 'c'")
    assert captured.drain().appended == 1
    assert [(one.version, one.event.payment_method) for one in captured.told()] == [(1, "new"), (2, "closed")]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM booking",
        "TRUNCATE booking CASCADE",
        "UPDATE booking SET erased_at = now()",  # a soft delete
    ],
)
def test_a_row_that_is_gone_is_told_once_and_one_that_comes_back_too(captured, statement):
    captured.execute("INSERT INTO booking (id) VALUES (1), (2)")
    captured.drain()
    captured.execute(statement)
    assert captured.drain().deleted == 2
    assert captured.drain().taken == 0
    captured.execute("INSERT INTO booking (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET erased_at = NULL")
    captured.drain()
    of_first = [(one.version, type(one.event)) for one in captured.told() if one.aggregate_id == captured.id_of(1)]
    assert of_first == [(1, OrderPlaced), (2, OrderCancelled), (3, OrderPlaced)]


def test_a_row_that_was_never_told_of_is_deleted_without_a_word(captured):
    captured.execute("INSERT INTO booking (id, erased_at) VALUES (1, NULL), (2, now())")
    captured.execute("DELETE FROM booking WHERE id = 1")
    assert captured.drain().unchanged == 2
    assert captured.told() == []


def test_what_is_refused_is_held_with_its_reason_and_holds_up_nothing_else(captured):
    captured.execute("INSERT INTO booking (id, state) VALUES (1, 'n'), (2, '?'), (3, 'n')")
    captured.execute("INSERT INTO booking_line (booking_id, item, amount) VALUES (3, 'a', 999999.99)")
    captured.execute("ALTER TABLE booking_line ALTER amount TYPE numeric")
    captured.execute("UPDATE booking_line SET amount = 1.234")
    assert captured.drain().held == 2
    assert captured.execute(HELD) == [
        ("2", "state: '?' has no entry in the map"),
        ("3", "amount: 1.234 has more than 2 digits behind the point"),
    ]
    assert [one.aggregate_id for one in captured.told()] == [captured.id_of(1)]
    captured.execute("UPDATE booking SET state = 'c' WHERE id = 2; UPDATE booking_line SET amount = 1.2")
    captured.drain()
    assert captured.execute(HELD) == []
    assert len(captured.told()) == 3


def test_what_is_held_is_tried_again_with_a_mapping_that_knows_it(captured, tmp_path):
    captured.execute("INSERT INTO booking (id, state) VALUES (1, '?')")
    captured.drain()
    captured.mapped = Bookings.mapping(tmp_path, MAPPING.replace('n = "new"', 'n = "new", "?" = "unknown"'))
    appending.try_held_again(["booking"], "default")
    assert captured.drain().appended == 1
    assert captured.execute(HELD) == []


def test_an_event_that_its_topic_does_not_take_is_held(captured):
    captured.execute("INSERT INTO booking (id) VALUES (1), (2)")
    captured.execute("INSERT INTO booking_line (booking_id, item, amount) VALUES (1, repeat('x', 1100000), 1)")
    captured.drain()
    ((key, reason),) = captured.execute(HELD)
    assert (key, "order.events.v1 takes 1048576" in reason) == ("1", True)
    assert [one.aggregate_id for one in captured.told()] == [captured.id_of(2)]


def test_without_an_event_for_deletions_a_deleted_row_is_held(captured, tmp_path):
    head, _, rest = MAPPING.partition("[aggregates.booking.deleted]")
    without = head + rest[rest.index("[aggregates.booking.service]") :]
    captured.mapped = Bookings.mapping(tmp_path, without)
    captured.execute("INSERT INTO booking (id) VALUES (1)")
    captured.drain()
    captured.execute("DELETE FROM booking")
    captured.drain()
    ((key, reason),) = captured.execute(HELD)
    assert (key, reason.startswith("deleted, and the mapping names no event")) == ("1", True)


def test_each_event_begins_a_story_of_its_own(captured):
    captured.execute("INSERT INTO booking (id) VALUES (1), (2), (3)")
    captured.drain()
    ((stories,),) = captured.execute("SELECT count(DISTINCT metadata->>'correlation_id') FROM waybill_outbox")
    assert stories == 3


def test_what_is_told_does_not_depend_on_how_the_database_shows_times(captured, tmp_path):
    captured.execute("ALTER TABLE booking ADD made_at timestamptz NOT NULL DEFAULT '2026-03-04 05:06:07+00'")
    captured.mapped = Bookings.mapping(tmp_path, MAPPING.replace('{ value = "EUR" }', '"made_at"'))
    captured.execute("INSERT INTO booking (id) VALUES (1)")
    with connection.cursor() as cursor:
        cursor.execute("SET datestyle = 'SQL, DMY'; SET TimeZone = 'Asia/Tokyo'")
    captured.drain()
    assert [one.event.currency for one in captured.told()] == ["2026-03-04T05:06:07.000000Z"]


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_programs_side_by_side_never_tell_an_older_state_after_a_newer_one(captured, isolation):
    """Totals only rise, so an event with a lower one than its forerunner would be of an older state."""
    captured.execute("INSERT INTO booking (id) SELECT generate_series(1, 4)")
    mapped, writing, together = {"booking": captured.built()}, Event(), Barrier(5)

    def write(seed: int) -> None:
        chance = random.Random(seed)
        with psycopg.connect(captured.shop.url, autocommit=True) as writer:
            together.wait(30)
            for _ in range(200):
                writer.execute("UPDATE booking SET total = total + 1 WHERE id = %s", [chance.randint(1, 4)])

    def drain() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET default_transaction_isolation = '{isolation}'")
        together.wait(30)
        try:
            while appending.drain_once(mapped, "default", batch=3).taken or not writing.is_set():
                pass
        finally:
            connection.close()

    with ThreadPoolExecutor(5) as pool:
        writers = [pool.submit(write, seed) for seed in (1, 2)]
        drains = [pool.submit(drain) for _ in range(3)]
        for one in writers:
            one.result(60)
        writing.set()
        for one in drains:
            one.result(60)
    told = captured.told()
    for key in range(1, 5):
        mine = [(one.version, one.event.total) for one in told if one.aggregate_id == captured.id_of(key)]
        ((total,),) = captured.execute("SELECT total FROM booking WHERE id = %s", key)
        assert mine[-1][1] == total * 100
        assert all(later[0] == former[0] + 1 and later[1] > former[1] for former, later in pairwise(mine))
