"""Whatever cannot be mapped is said by table and column before anything is written; rows are counted, with keys."""

import pytest

from tests.support import applying
from tests.support.moving import MAPPING, Bookings
from waybill.migrate.mapping.building import Finding
from waybill.migrate.mapping.document import MappingError
from waybill.migrate.plan import plan


@pytest.fixture
def found(bookings, tmp_path):
    def find(text=MAPPING):
        bookings.mapped = Bookings.mapping(tmp_path, text)
        return plan(bookings.aggregate, bookings.mapped.namespace, "default", lambda *_: None)

    return find


def test_a_mapping_that_knows_everything_has_no_findings(bookings, found):
    bookings.execute("INSERT INTO booking (id) SELECT generate_series(1, 3)")
    made = found()
    assert (made.rows, made.findings, made.notes) == (3, [], [])


@pytest.mark.parametrize(
    ("before", "after", "finding"),
    [
        ('ignore = ["remark"]', "", ("booking", "remark", "is in no field; map it, or name it under ignore")),
        ('ignore = ["remark"]', 'ignore = ["remark", "x"]', ("booking", "x", "is under ignore, and there is no such")),
        ('"owner_id"', '"owner"', ("booking", "owner", "there is no such column")),
        ('currency = { value = "EUR" }', "", ("booking", "", "nothing fills the field currency")),
        ("total = {", "sum = {", ("booking", "total", "waybill.order.OrderPlaced has no field sum")),
        (', id_of = "booking" }\ncustomer', " }\ncustomer", ("booking", "id", "order_id: a key to a uuid: say id_of")),
        ('"total", minor_units = 2', '"total"', ("booking", "total", "total: a decimal to a whole number")),
        ('"amount", minor_units = 2', '"amount"', ("booking_line", "amount", "unit_price: a decimal to a whole")),
        ('table = "booking"\n', 'table = "booked"\n', ("booked", "", "there is no such table")),
        ('"booking_line"', '"lines"', ("lines", "", "there is no such table")),
        ('parent = "booking_id"', 'parent = "x"', ("booking_line", "x", "there is no such column")),
        ('key = "id"', 'key = "state"', ("booking", "state", "order_id, the id of the event, must come from the key")),
        ('key = "id"', 'key = "owner_id"', ("booking", "owner_id", "the key is one column, unique and NOT NULL")),
        ("OrderPlaced", "OrderFound", ("booking", "", "there is no event waybill.order.OrderFound")),
        ('"erased_at"', '"gone_at"', ("booking", "gone_at", "there is no such column")),
    ],
)
def test_what_can_never_be_mapped_is_said_by_table_and_column(bookings, found, before, after, finding):
    text = MAPPING.replace(before, after, 1)
    assert text != MAPPING
    if 'key = "id"' in before:
        text = text.replace('{ column = "id", id_of = "booking" }\nfields.customer', '{ value = "x" }\nfields.customer')
    table, column, what = finding
    assert [one for one in found(text).findings if one[:2] == (table, column) and one.what.startswith(what)]
    assert bookings.execute("SELECT count(*) FROM waybill_capture") == [(0,)]
    with pytest.raises(MappingError, match="python -m waybill migrate plan"):
        bookings.built()


def test_rows_that_the_mapping_refuses_are_counted_with_a_few_keys(bookings, found):
    bookings.execute("INSERT INTO booking (state) SELECT '?' FROM generate_series(1, 7)")
    bookings.execute("INSERT INTO booking (state, total) VALUES ('n', 1)")
    made = found()
    assert made.rows == 8
    what = "state: '?' has no entry in the map"
    assert made.findings == [Finding("booking", "", what, 7, ["1", "2", "3", "4", "5"])]


def test_rows_that_break_todays_constraints_are_counted(bookings, found):
    bookings.execute("INSERT INTO booking (id, total) VALUES (1, -1), (2, -2), (3, 3)")
    bookings.execute("ALTER TABLE booking ADD CONSTRAINT owed CHECK (total >= 0) NOT VALID")
    assert found().findings == [Finding("booking", "", "breaks the constraint owed", 2, ["1", "2"])]


def test_a_key_that_leads_nowhere_is_counted_where_no_valid_constraint_vouches_for_it(bookings, found):
    bookings.execute("CREATE TABLE owner (id bigint PRIMARY KEY); INSERT INTO owner VALUES (1)")
    bookings.execute("INSERT INTO booking (id, owner_id) VALUES (1, 1), (2, 9)")
    orphan = Finding("booking", "owner_id", "leads to no row of owner", 1, ["2"])
    assert found().findings == [orphan]
    bookings.execute("ALTER TABLE booking ADD CONSTRAINT owned FOREIGN KEY (owner_id) REFERENCES owner NOT VALID")
    assert found().findings == [orphan]
    bookings.execute("DELETE FROM booking WHERE id = 2; ALTER TABLE booking VALIDATE CONSTRAINT owned")
    assert found().findings == []


def test_a_local_time_needs_a_zone_and_its_ambiguous_hour_a_choice(bookings, found):
    bookings.execute("ALTER TABLE booking ADD made_at timestamp NOT NULL DEFAULT '2026-10-25 02:30'")
    bookings.execute("INSERT INTO booking (id) VALUES (1)")
    line = 'currency = { value = "EUR" }'
    without = MAPPING.replace(line, 'currency = "made_at"')
    assert [one.what for one in found(without).findings] == [
        "currency: a time without a zone: say which it is in, as in zone = 'Europe/Berlin'"
    ]
    zoned = MAPPING.replace(line, 'currency = { column = "made_at", zone = "Europe/Berlin" }')
    (finding,) = found(zoned).findings
    assert (finding.rows, finding.keys) == (1, ["1"])
    assert finding.what.startswith("made_at: 2026-10-25 02:30:00 was shown twice by the clock")
    assert found(zoned.replace('Berlin"', 'Berlin", ambiguous = "later"')).findings == []


def test_partitions_are_refused_and_slow_or_foreign_keys_noted(bookings, found):
    bookings.execute("DROP INDEX booking_line_booking_id_idx")
    bookings.execute("CREATE TABLE rating (id bigint PRIMARY KEY, booking_id bigint REFERENCES booking)")
    assert found().notes == [
        Finding("rating", "booking_id", "refers to booking, from outside the aggregate"),
        Finding("booking_line", "booking_id", "has no index: each aggregate reads the whole table"),
    ]
    bookings.execute("CREATE TABLE archived () INHERITS (booking)")
    assert [one.what for one in found().findings] == [
        "has partitions or heirs: a write straight to one of them is not captured"
    ]


def test_a_mapping_that_can_be_applied_has_no_findings(bookings, found):
    bookings.execute("INSERT INTO booking (id) VALUES (1)")
    assert found(applying.MAPPING).findings == []
    bookings.execute("ALTER TABLE booking_line ALTER quantity SET NOT NULL")
    assert found(applying.keyless()).findings == []


KEY = 'customer_id = { column = "id", shared = true }\ntotal'
TYPES = "ALTER TABLE booking ADD mood text NOT NULL; ALTER TABLE booking_line ADD size int NOT NULL"
LEFT = applying.MAPPING.replace('["remark"', '["mood", "remark"').replace('["quantity"]', '["quantity", "size"]')
APPLY = "[aggregates.booking.apply]\n"


@pytest.mark.parametrize(
    ("before", "after", "finding"),
    [
        (KEY, KEY.replace(", shared = true", ""), ("booking", "id", "the database gives these keys: say shared")),
        (KEY, 'customer_id = { value = "" }\ntotal', ("booking", "id", "order_id: it is made of a key")),
        ('c = "closed"', 'c = "new"', ("booking", "state", "payment_method: map: 'n' and 'c' both become 'new'")),
        ('"total", minor_units = 2', '"total", minor_units = 3', ("booking", "total", "total: numeric(12,2) has 2")),
        (applying.KEYED, applying.KEYED.replace(", shared = true", ""), ("booking_line", "id", "the database gives")),
        ('["remark", ', '["remark", "mood", ', ("booking", "mood", "is NOT NULL without a default")),
        ('["quantity"]', '["quantity", "size"]', ("booking_line", "size", "is NOT NULL without a default")),
        (APPLY, f'{APPLY}defaults = {{ x = "" }}', ("booking", "x", "is in apply.defaults, and there is no")),
        (APPLY, f'{APPLY}defaults = {{ state = "n" }}', ("booking", "state", "is in apply.defaults, and a field")),
        (APPLY, f"{APPLY}defaults.ghosts.a = 1", ("booking", "", "apply.defaults: ghosts is no field with child rows")),
        ('event = "waybill.order.OrderPlaced"', 'event = "waybill.order.OrderPlaced"\nsoft_delete = "remark"',
         ("booking", "remark", "text cannot be set to say that a row is deleted")),
    ],
)  # fmt: skip
def test_what_cannot_be_applied_is_said_by_table_and_column(bookings, found, before, after, finding):
    text = applying.MAPPING.replace(before, after, 1)
    assert text != applying.MAPPING
    if "soft_delete" in after:
        text = text.replace('["remark", ', "[")
    bookings.execute(TYPES if {"mood", "size"} & set(finding) else "SELECT")
    if {"mood", "size"} & set(finding):
        text = LEFT
    table, column, what = finding
    assert [one for one in found(text).findings if one[:2] == (table, column) and one.what.startswith(what)]


def test_a_column_that_nothing_fills_gets_the_default_of_the_mapping(bookings, found):
    bookings.execute(TYPES)
    assert found(LEFT.replace(APPLY, f'{APPLY}defaults = {{ mood = "", lines = {{ size = 1 }} }}')).findings == []
