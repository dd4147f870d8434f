"""What one side tells, the other one has: rows and child rows, deletions, each event once and never an older one."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from django.db import connection

from schemas.events import OrderPlaced
from tests.support import applying
from tests.support.applying import Side
from waybill.consumer.message import Message
from waybill.deciders.outcomes import ConsumerStopped
from waybill.inbox.handlers import Batched
from waybill.migrate import capture
from waybill.observability.telemetry import new_id

FILL = """
INSERT INTO booking (id, state, total) VALUES (1, 'n', 19.99), (2, 'c', 5);
INSERT INTO booking_line (id, booking_id, item, amount) VALUES (11, 1, 'a', 9.99), (12, 1, 'b', 10), (21, 2, 'c', 5);
"""
VERSIONS = "SELECT key, version FROM waybill_capture_state ORDER BY key"


def copied(message: Message, **headers: str) -> Message:
    """The same with other headers, and an id of its own, as if it had never come."""
    given = {**message.headers, "ce_id": new_id(), **headers}
    return replace(message, raw_headers=tuple((name, text.encode()) for name, text in given.items()))


@pytest.mark.parametrize("text", [applying.MAPPING, applying.keyless()])
def test_rows_come_over_with_their_lines_and_each_change(two, text):
    here, there = two(text)
    with_ids = text == applying.MAPPING  # a line without a key in the event has one of this side's own
    here.execute(FILL)
    assert there.take(here.told()) == []
    assert there.rows(with_ids=with_ids) == here.rows(with_ids=with_ids)
    for change in (
        "UPDATE booking SET state = 'c', total = 1 WHERE id = 1",
        "UPDATE booking_line SET amount = 3, item = 'x' WHERE id = 11",
        "DELETE FROM booking_line WHERE id = 12; DELETE FROM booking_line WHERE id = 21",
        "DELETE FROM booking WHERE id = 1",
        "INSERT INTO booking (id) VALUES (1)",
        "INSERT INTO booking_line (id, booking_id, item, amount) VALUES (1, 1, '', 0)",
        "TRUNCATE booking CASCADE",
    ):
        here.execute(change)
        assert there.take(here.told()) == []
        assert there.rows(with_ids=with_ids) == here.rows(with_ids=with_ids)
        assert here.verified(there) == []


def test_an_older_version_changes_nothing_and_the_same_one_repairs(two):
    here, there = two()
    here.execute(FILL)
    first = here.told()
    here.execute("UPDATE booking SET total = 7 WHERE id = 1; DELETE FROM booking WHERE id = 2")
    second = here.told()
    there.take([*first, *second])
    assert there.take([copied(one) for one in first]) == []
    assert there.rows() == here.rows()
    there.execute("UPDATE booking SET total = 8; DELETE FROM booking_line")
    there.take([copied(one) for one in second])
    assert there.rows() == here.rows()


def test_rows_that_are_there_already_become_those_of_the_event(two):
    here, there = two()
    here.execute(FILL)
    there.execute("INSERT INTO booking (id, total, remark) VALUES (1, 3, 'of this side alone')")
    there.execute("INSERT INTO booking_line (id, booking_id, item, amount) VALUES (12, 1, '?', 1), (99, 1, '?', 1)")
    assert there.take(here.told()) == []
    assert there.rows() == here.rows()
    assert there.execute("SELECT remark FROM booking WHERE id = 1") == [("of this side alone",)]


@pytest.mark.parametrize("fields", ["", 'fields.customer_id = { column = "id", shared = true }\n'])
def test_a_deletion_that_comes_before_anything_else_is_kept_against_what_is_older(two, fields):
    of_deletion = 'fields.customer_id = { column = "id", shared = true }\n'
    constant = 'fields.customer_id = { value = "" }\n'
    here, there = two(applying.MAPPING.replace(of_deletion, fields or constant))
    here.execute(FILL)
    first = here.told()
    here.execute("DELETE FROM booking WHERE id = 2")
    assert there.take(here.told()) == []
    assert there.take(first) == []
    assert there.rows() == here.rows()
    here.execute("INSERT INTO booking (id) VALUES (2)")
    assert there.take(here.told()) == []
    assert there.rows() == here.rows()
    assert there.execute(VERSIONS) == [("1", 1), ("2", 3)]


def test_what_is_applied_is_not_told_back_except_by_whom_else_has_these_rows(two):
    facts = applying.MAPPING.split("[aggregates.booking.apply]", maxsplit=1)[0]
    facts = facts[facts.index("[aggregates") :].replace("aggregates.booking", "aggregates.fact")
    here, there = two(applying.MAPPING + facts)
    here.execute(FILL)
    there.capture()
    fact = there.mapped.aggregates["fact"]
    with there.in_use():
        capture.turn_on(fact, "default")
    there.take(here.told())
    queued = there.execute("SELECT DISTINCT source, key FROM waybill_capture ORDER BY key")
    assert queued == [("fact", "1"), ("fact", "2")]


def test_what_else_the_transaction_writes_is_told(two):
    here, there = two()
    here.execute(FILL)
    there.capture()

    def writes(_batch):
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO booking (id) VALUES (77)")

    handlers = there.handlers()
    there.take(here.told(), replace(handlers, marked=[*handlers.marked, (OrderPlaced, Batched(writes))]))
    assert there.bookings.queued() == ["77"]


def test_a_sides_own_events_and_those_of_the_time_before_it_owned_are_passed(two):
    here, there = two()
    here.execute(FILL)
    first = here.told()
    assert there.take([copied(one, ce_source=there.source) for one in first]) == []
    assert there.rows() == [[], []]
    there.take(first)
    there.owns(really=True)
    there.execute("UPDATE booking SET total = 0")
    assert there.take([copied(one) for one in first]) == []
    assert there.execute("SELECT DISTINCT total FROM booking") == [(0,)]


def test_a_later_event_of_the_former_owner_is_a_dead_letter(two):
    here, there = two()
    here.execute(FILL)
    there.take(here.told())
    there.owns(really=True)
    here.execute("UPDATE booking SET total = 0 WHERE id = 1")
    (reason,) = there.take(here.told())
    assert "booking 1: version 2 of the former owner came after the handover" in reason


def test_a_side_that_nobody_has_chosen_stops_and_keeps_the_events(two):
    here, there = two()
    here.execute(FILL)
    told = here.told()
    there.execute("DELETE FROM waybill_ownership")
    with pytest.raises(ConsumerStopped, match="python -m waybill migrate receive"):
        there.take(told)
    there.owns(really=False)
    assert there.take(told) == []
    assert there.rows() == here.rows()


def test_a_mapping_that_cannot_be_applied_stops_and_keeps_the_events(two):
    here, there = two()
    here.execute(FILL)
    told = here.told()
    there.execute("ALTER TABLE booking ADD mood text NOT NULL")
    with pytest.raises(ConsumerStopped, match=r"booking\.mood.*migrate plan"):
        there.take(told)


def test_versions_go_on_over_a_handover_and_back_and_nothing_is_told_twice(two):
    here, there = two()
    here.execute(FILL)
    there.capture()
    there.take(here.told())
    here.execute("UPDATE booking SET total = 7 WHERE id = 1")
    there.take(here.told())

    def handed_over(owner: Side, other: Side):
        owner.owns(really=False)
        other.owns(really=True)
        with other.in_use():
            assert other.bookings.backfill()
        assert other.told() == []  # nothing has changed

    handed_over(here, there)
    there.execute("UPDATE booking SET total = 8 WHERE id = 1; DELETE FROM booking WHERE id = 2")
    told = there.told()
    assert sorted(one.version for one in told) == [2, 3]
    assert here.take(told) == []
    assert here.rows() == there.rows()
    handed_over(there, here)
    here.execute("UPDATE booking SET total = 9 WHERE id = 1; INSERT INTO booking (id) VALUES (2)")
    assert there.take(here.told()) == []
    assert there.execute(VERSIONS) == here.execute(VERSIONS) == [("1", 4), ("2", 3)]
    assert there.rows() == here.rows()


SOFT = applying.MAPPING.replace(', "erased_at"]', "]").replace(
    'key = "id"\nevent', 'key = "id"\nsoft_delete = "erased_at"\nevent'
)


def test_a_soft_deletion_comes_over_as_one_and_so_does_its_end(two):
    here, there = two(SOFT)
    here.execute(FILL)
    there.take(here.told())
    here.execute("UPDATE booking SET erased_at = now() WHERE id = 1; DELETE FROM booking WHERE id = 2")
    assert there.take(here.told()) == []
    assert there.execute("SELECT id FROM booking WHERE erased_at > now() - interval '1 minute' ORDER BY id") == [
        (1,),
        (2,),
    ]
    assert here.verified(there) == []
    here.execute("UPDATE booking SET erased_at = NULL, total = 3 WHERE id = 1")
    assert there.take(here.told()) == []
    assert there.execute("SELECT total, erased_at FROM booking WHERE id = 1") == [(3, None)]


def test_two_consumers_of_one_key_leave_the_newest(two):
    here, there = two()
    told = []
    for total in range(8):
        here.execute(
            "INSERT INTO booking (id, total) VALUES (1, %s) ON CONFLICT (id) DO UPDATE SET total = excluded.total",
            total,
        )
        here.execute(
            "WITH gone AS (DELETE FROM booking_line) "
            "INSERT INTO booking_line (id, booking_id, item, amount) VALUES (%s, 1, '', 1)",
            total + 1,
        )
        told += here.told()
    handlers = there.handlers()

    def take(message):
        try:
            return there.handle([message], handlers)
        finally:
            connection.close()

    with there.in_use(), ThreadPoolExecutor(4) as pool:
        list(pool.map(take, [copied(one) for one in [*told[::-1], *told]]))
    assert there.execute(applying.DEAD_LETTERS) == []
    assert there.rows() == here.rows()


def test_a_new_row_has_the_defaults_of_the_mapping_and_an_old_one_keeps_its_own(two):
    added = applying.MAPPING.replace(
        "[aggregates.booking.apply]",
        '[aggregates.booking.apply]\ndefaults = { remark = "50%", lines = { quantity = 4 } }',
    )
    here, there = two(added)
    here.execute(FILL)
    there.take(here.told())
    there.execute("UPDATE booking SET remark = 'ours' WHERE id = 2; UPDATE booking_line SET quantity = 9 WHERE id = 21")
    here.execute("UPDATE booking SET total = 3; UPDATE booking_line SET amount = 3")
    assert there.take(here.told()) == []
    assert there.execute("SELECT id, remark, total FROM booking ORDER BY id") == [(1, "50%", 3), (2, "ours", 3)]
    assert there.execute("SELECT id, quantity FROM booking_line ORDER BY id") == [(11, 4), (12, 4), (21, 9)]


DIFFERENCES = {
    "UPDATE booking SET total = 3 WHERE id = 2": ("2", "differs", {"total": (500, 300)}),
    "UPDATE booking SET state = '?' WHERE id = 2": (
        "2",
        "differs",
        {"state": ("closed", "refused: state: '?' has no")},
    ),
    "UPDATE booking_line SET amount = 4 WHERE id = 21": ("2", "differs", {"lines": (500, 400)}),
    "DELETE FROM booking_line WHERE id = 21; DELETE FROM booking WHERE id = 2": ("2", "missing", {}),
    "INSERT INTO booking (id) VALUES (9)": ("9", "not to be there", {}),
}


def test_each_difference_of_rows_with_the_same_keys_is_named(two):
    here, there = two()
    here.execute(FILL)
    told = here.told()
    there.take(told)
    for statement, (key, what, fields) in DIFFERENCES.items():
        there.execute(statement)
        (one,) = here.verified(there)
        assert (one.key, one.what, one.fields.keys()) == (key, what, fields.keys())
        for name, (ours, theirs) in fields.items():
            found = [at if name != "lines" else at[0]["amount"] for at in one.fields[name]]
            assert (found[0], str(found[1]).startswith(str(theirs))) == (ours, True)
        there.take([copied(again) for again in told])
