"""Whatever changes a row queues its key, in the writer's own transaction."""

import psycopg
import pytest
from django.db import connection

from tests.support.moving import MAPPING, Bookings
from waybill.migrate import capture

ROWS = """
INSERT INTO booking (id) VALUES (1), (2), (3);
INSERT INTO booking_line (id, booking_id, item, amount) VALUES (1, 1, 'a', 1), (2, 1, 'b', 1), (3, 2, 'c', 1)
"""


@pytest.fixture
def captured(bookings):
    bookings.execute(ROWS)
    bookings.capture()
    return bookings


@pytest.mark.parametrize(
    ("statement", "keys"),
    [
        ("INSERT INTO booking (id) VALUES (4), (5)", ["4", "5"]),
        ("UPDATE booking SET total = 1 WHERE id <> 2", ["1", "3"]),
        ("UPDATE booking SET id = 9 WHERE id = 3", ["3", "9"]),
        ("DELETE FROM booking WHERE id = 3", ["3"]),
        ("DELETE FROM booking WHERE id = 1", ["1", "1"]),  # the cascade tells of the lines
        ("INSERT INTO booking (id) VALUES (3), (4) ON CONFLICT (id) DO UPDATE SET total = 2", ["3", "4"]),
        ("MERGE INTO booking USING (VALUES (2)) AS v (id) ON v.id = booking.id WHEN MATCHED THEN DELETE", ["2", "2"]),
        ("UPDATE booking_line SET quantity = 2", ["1", "2"]),
        ("UPDATE booking_line SET booking_id = 3 WHERE id = 1", ["1", "3"]),
        ("UPDATE booking_line SET booking_id = NULL WHERE id = 3", ["2"]),
        ("INSERT INTO booking_line (id, booking_id, item, amount) VALUES (8, 3, 'x', 1), (9, 3, 'y', 1)", ["3"]),
        ("DELETE FROM booking_line", ["1", "2"]),
        ("TRUNCATE booking_line", [None]),
        ("TRUNCATE booking CASCADE", [None, None]),
        ("SET session_replication_role = replica; UPDATE booking SET total = 7 WHERE id = 2", ["2"]),
        ("UPDATE booking SET total = 1 WHERE false", []),
        ("BEGIN; UPDATE booking SET total = 1; ROLLBACK", []),
    ],
)
def test_every_way_to_write_queues_the_key_and_a_rollback_none(captured, statement, keys):
    captured.execute(statement)
    assert sorted(captured.queued(), key=str) == keys


def test_copy_queues_the_keys(captured):
    with (
        psycopg.connect(captured.shop.url) as writer,
        writer.cursor() as cursor,
        cursor.copy("COPY booking (id) FROM STDIN") as copy,
    ):
        copy.write("7\n8\n")
    assert sorted(captured.queued()) == ["7", "8"]


def test_a_writer_needs_no_right_on_the_queue_and_sees_no_other_queue(captured):
    captured.execute("DROP ROLE IF EXISTS clerk")
    captured.execute("CREATE ROLE clerk")
    captured.execute(
        "GRANT UPDATE, SELECT ON booking TO clerk; GRANT TEMP ON DATABASE " + captured.shop.name + " TO clerk"
    )
    captured.execute("SET ROLE clerk; CREATE TEMP TABLE waybill_capture (LIKE booking); UPDATE booking SET total = 1")
    assert sorted(captured.queued()) == ["1", "2", "3"]
    captured.execute("DROP OWNED BY clerk; DROP ROLE clerk")


def is_on(bookings: Bookings) -> bool:
    with connection.cursor() as cursor:
        return capture.is_on(bookings.aggregate, cursor)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE booking_line DISABLE TRIGGER {}",
        "ALTER TABLE booking_line ENABLE TRIGGER {}",  # no longer always
        "DROP TRIGGER {} ON booking_line",
    ],
)
def test_a_trigger_that_somebody_changes_is_noticed(captured, statement):
    assert is_on(captured)
    find = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'booking_line'::regclass AND tgname ~ '^waybill.*_up$'"
    ((name,),) = captured.execute(find)
    captured.execute(statement.format(name))
    assert not is_on(captured)
    captured.capture()
    assert is_on(captured)


def test_a_table_that_the_mapping_no_longer_has_loses_its_trigger(captured, tmp_path):
    head, _, rest = MAPPING.partition("[aggregates.booking.fields.lines]")
    without = head + rest[rest.index("[aggregates.booking.deleted]") :]
    captured.mapped = Bookings.mapping(tmp_path, without)
    captured.capture()
    captured.execute("UPDATE booking_line SET quantity = 2; UPDATE booking SET total = 1 WHERE id = 3")
    assert captured.queued() == ["3"]


def test_off_leaves_nothing_behind_and_waits_for_writers_two_seconds_at_a_time(captured):
    with psycopg.connect(captured.shop.url) as writer:
        writer.execute("UPDATE booking SET total = 1")
        with pytest.raises(Exception, match="lock timeout"):
            capture.turn_off(captured.aggregate, "default", attempts=1)
        writer.rollback()
    capture.turn_off(captured.aggregate, "default")
    captured.execute("UPDATE booking SET total = 1")
    assert captured.queued() == []
    assert captured.execute("SELECT 1 FROM pg_proc WHERE proname LIKE 'waybill%capture%'") == []
