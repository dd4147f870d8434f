"""What one side tells, the other one has: rows and child rows, deletions, each event once and never an older one."""

import pytest

from tests.support import applying

FILL = """
INSERT INTO booking (id, state, total) VALUES (1, 'n', 19.99), (2, 'c', 5);
INSERT INTO booking_line (id, booking_id, item, amount) VALUES (11, 1, 'a', 9.99), (12, 1, 'b', 10), (21, 2, 'c', 5);
"""


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
