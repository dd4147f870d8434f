"""What this side cannot hold is a dead letter that names column and remedy; all else goes on, and a redrive ends it."""

from tests.support import applying

FILL = """
INSERT INTO booking (id, state, total) VALUES (1, 'n', 19.99), (2, 'c', 5);
INSERT INTO booking_line (id, booking_id, item, amount) VALUES (11, 1, 'abcdef', 9.99), (21, 2, 'c', 5);
"""
TRIGGER = """
CREATE FUNCTION changes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.total := NEW.total + 1; RETURN NEW; END $$;
CREATE TRIGGER changes BEFORE INSERT ON booking FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION changes();
"""
KINDS = """
CREATE TABLE kind (code text PRIMARY KEY); INSERT INTO kind VALUES ('c');
ALTER TABLE booking ADD FOREIGN KEY (state) REFERENCES kind DEFERRABLE INITIALLY DEFERRED
"""
ANOTHER = """
INSERT INTO booking (id) VALUES (3); INSERT INTO booking_line (id, booking_id, item, amount) VALUES (11, 3, '', 1)
"""


CASES = [
    (
        "ALTER TABLE booking ADD CHECK (total < 10)",
        'violates check constraint "booking_total_check".*the other side allows what this side',
        "ALTER TABLE booking DROP CONSTRAINT booking_total_check",
    ),
    (
        "ALTER TABLE booking_line ALTER item TYPE varchar(3)",
        r"booking: booking_line.item: value too long for type character varying\(3\); give",
        "ALTER TABLE booking_line ALTER item TYPE text",
    ),
    (
        "ALTER TABLE booking ALTER total TYPE numeric(3,2)",
        "booking: booking.total: numeric field overflow A field with precision 3",
        "ALTER TABLE booking ALTER total TYPE numeric(12,2)",
    ),
    (
        "CREATE UNIQUE INDEX one ON booking (total); INSERT INTO booking (id, total) VALUES (9, 19.99)",
        r"Key \(total\)=\(19.99\) already exists.*remove it if it is surplus",
        "DELETE FROM booking WHERE id = 9",
    ),
    (
        KINDS,
        r'Key \(state\)=\(n\) is not present in table "kind".; once the row that is missing has come',
        "INSERT INTO kind VALUES ('n')",
    ),
    (
        TRIGGER,
        r"booking 1: total is 1999, and this side would tell 2099: booking.total holds it not as it is",
        "DROP TRIGGER changes ON booking",
    ),
    (
        "CREATE RULE away AS ON INSERT TO booking_line WHERE NEW.id = 11 DO INSTEAD NOTHING",
        r"booking 1: lines is \[.*booking_line holds it not as it is",
        "DROP RULE away ON booking_line",
    ),
    (
        ANOTHER,
        "booking_line 11 is a row of booking 3 here; redrive once that one's event",
        "DELETE FROM booking WHERE id = 3",
    ),
]


def test_a_reason_names_column_and_remedy_and_a_redrive_follows(two):
    here, there = two()
    for before, reason, repair in CASES:
        here.execute(FILL)
        there.execute(before)
        (said,) = there.take(here.told())
        assert applying.matches(reason, said), said
        here.execute("UPDATE booking SET remark = NULL WHERE id = 1; UPDATE booking SET state = 'n' WHERE id = 2")
        there.take(here.told())
        assert there.execute("SELECT id FROM booking WHERE id IN (1, 2)") == [(2,)], before
        there.execute(repair)
        assert set(there.redrive()) == {None}
        assert there.execute(applying.DEAD_LETTERS) == []
        assert there.rows() == here.rows()
        here.execute("TRUNCATE booking CASCADE")
        assert there.take(here.told()) == []


def test_a_value_that_this_sides_map_does_not_have_is_a_dead_letter(two, tmp_path):
    here, there = two()
    there.bookings.mapped = there.bookings.mapping(tmp_path, applying.MAPPING.replace('n = "new", ', ""))
    here.execute(FILL)
    assert there.take(here.told()) == ["EventRefused: booking.state: 'new' has no entry in the map"]


def test_a_row_that_others_refer_to_is_not_deleted_under_them(two):
    here, there = two()
    here.execute(FILL)
    there.take(here.told())
    there.execute("CREATE TABLE rating (booking_id bigint REFERENCES booking); INSERT INTO rating VALUES (1)")
    here.execute("DELETE FROM booking")
    (said,) = there.take(here.told())
    assert "is still referenced from table" in said
    assert "or the row that still refers to it has gone, redrive" in said
    assert there.execute("SELECT id FROM booking") == [(1,)]
    there.execute("DELETE FROM rating")
    assert there.redrive() == [None]
    assert there.rows() == [[], []]


def test_a_line_that_moves_to_another_booking_in_one_batch_goes_with_it(two):
    here, there = two()
    here.execute(FILL)
    there.take(here.told())
    here.execute("UPDATE booking_line SET booking_id = 2 WHERE id = 11")
    there.take(here.told())
    there.redrive()
    assert there.execute(applying.DEAD_LETTERS) == []
    assert there.rows() == here.rows()
