"""Every row is told of once, whatever is written or deleted meanwhile, and as fast as the rest keeps up."""

import time

import pytest

from schemas.events import OrderCancelled
from waybill.migrate import backfill, capture
from waybill.migrate.backfill import CaptureIsOff, Limits, queue_chunk

ROWS = 25  # more digits than one: as texts, 9 comes after 25


@pytest.fixture
def captured(bookings):
    bookings.execute(f"INSERT INTO booking (id) SELECT generate_series(1, {ROWS})")
    bookings.capture()
    return bookings


def begin(captured):
    captured.execute("INSERT INTO waybill_backfill (source) VALUES ('booking')")


def test_every_row_is_told_of_once_and_a_second_backfill_changes_nothing(captured):
    assert captured.backfill()
    assert sorted(map(int, captured.queued())) == list(range(1, ROWS + 1))
    captured.backfill()
    assert captured.drain().appended == ROWS
    captured.backfill()
    done = captured.drain()
    assert (done.unchanged, done.appended) == (ROWS, 0)
    assert [one.version for one in captured.told()] == [1] * ROWS


def test_chunks_follow_the_sequence_of_the_keys_and_each_moves_the_position_with_it(captured):
    begin(captured)
    chunks = []
    more = True
    while more:
        more, queued = queue_chunk(captured.built(), "default", limit=10)
        chunks.append((captured.execute("SELECT position FROM waybill_backfill"), queued, len(captured.queued())))
    assert chunks == [([("10",)], 10, 10), ([("20",)], 20, 10), ([("25",)], 25, 5), ([("25",)], 25, 0)]


def test_a_row_that_is_written_behind_the_position_is_captured(captured):
    begin(captured)
    queue_chunk(captured.built(), "default", limit=10)
    captured.execute("INSERT INTO booking (id) VALUES (-1)")
    captured.backfill()
    assert captured.drain().appended == ROWS + 1


def test_what_was_deleted_or_changed_while_capture_was_off_is_found_by_the_next_backfill(captured):
    captured.backfill()
    captured.drain()
    capture.turn_off(captured.aggregate, "default")
    captured.execute("DELETE FROM booking WHERE id = 3; UPDATE booking SET total = 1 WHERE id = 4")
    captured.capture()
    captured.backfill()
    done = captured.drain()
    assert (done.deleted, done.appended) == (1, 1)
    (deletion,) = [one for one in captured.told() if isinstance(one.event, OrderCancelled)]
    assert (deletion.aggregate_id, deletion.version) == (captured.id_of(3), 2)


def test_a_backfill_that_was_under_way_while_capture_was_off_begins_anew(captured):
    begin(captured)
    queue_chunk(captured.built(), "default", limit=10)
    captured.drain()
    capture.turn_off(captured.aggregate, "default")
    captured.execute("UPDATE booking SET total = 1 WHERE id = 1")
    captured.capture()
    captured.backfill()
    captured.drain()
    mine = [one.event.total for one in captured.told() if one.aggregate_id == captured.id_of(1)]
    assert mine == [0, 100]


def test_it_refuses_while_capture_is_off(bookings):
    with pytest.raises(CaptureIsOff, match="first: capture on"):
        bookings.backfill()


def test_it_waits_while_the_queue_is_long_and_goes_on_once_it_is_not(captured):
    waited = []

    def told(_done, waits_for):
        if waits_for:
            waited.append(waits_for)
            captured.drain()

    limits = Limits(queue=1)
    captured.execute("UPDATE booking SET total = 1 WHERE id = 1")
    assert backfill.run(captured.built(), "default", limits, is_stopping=lambda: False, told=told)
    assert waited[0] == "1 keys wait to be read: is `migrate run` running?"
    captured.drain()
    assert len(captured.told()) == ROWS


@pytest.mark.parametrize(
    ("pressure", "said"),
    [
        ((0, 0, 0.0), ""),
        ((10, 0, 0.0), "10 keys wait to be read"),
        ((0, 21, 0.0), "21 events wait for the relay"),
        ((0, 0, 31.0), "a standby is 31 seconds behind"),
    ],
)
def test_it_waits_for_whoever_is_behind(pressure, said):
    limits = Limits(queue=10, outbox=20, lag_seconds=30)
    assert backfill.waits_for(*pressure, limits).startswith(said)
    assert bool(backfill.waits_for(*pressure, limits)) == bool(said)


def test_events_that_no_relay_takes_hold_it_back(captured):
    captured.drain()
    captured.execute("UPDATE booking SET total = 1")
    captured.drain()
    waited = []
    backfill.run(
        captured.built(),
        "default",
        Limits(outbox=ROWS - 1),
        is_stopping=lambda: bool(waited),
        told=lambda _, waits_for: waited.append(waits_for),
    )
    assert waited == [f"{ROWS} events wait for the relay"]


def test_a_rate_is_kept(captured):
    began = time.monotonic()
    assert captured.backfill(Limits(keys_a_second=50))
    assert time.monotonic() - began >= ROWS / 50
