"""A column becomes a field by what the mapping says, and by nothing else: what it does not know is refused."""

from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import pytest

from waybill.contracts.fields import Nullable, Scalar
from waybill.migrate.mapping import document
from waybill.migrate.mapping.conversions import RowRefused, Unconvertible, conversion
from waybill.migrate.mapping.document import MappingError, Source
from waybill.migrate.tables import Column

NAMESPACE = UUID(int=7)
LOCAL, TIME = "timestamp without time zone", "timestamp with time zone"
BERLIN = ZoneInfo("Europe/Berlin")
THERE = 'url = "U", table = "t", key = "k", columns = {}'
CHILD = '{ table = "c", parent = "p", columns = {} }'


def converted(source, kind, target, text, *, nullable=False):
    field = Nullable(Scalar(target)) if nullable else Scalar(target)
    return conversion(source, Column("c", kind, kind, nullable=True), field, NAMESPACE)(text)


def of(**given):
    return Source(column="c", **given)


@pytest.mark.parametrize(
    ("source", "kind", "target", "text", "value"),
    [
        (of(), "bigint", "long", "7", 7),
        (of(), "bigint", "string", "7", "7"),
        (of(), "text", "string", "Ünï", "Ünï"),
        (of(), "boolean", "boolean", "true", True),
        (of(), "uuid", "uuid", str(NAMESPACE), NAMESPACE),
        (of(), "date", "string", "2026-03-01", "2026-03-01"),
        (of(), "numeric", "string", "19.90", "19.90"),
        (of(id_of="t"), "bigint", "uuid", "7", uuid5(NAMESPACE, "t:7")),
        (of(id_of="t"), "bigint", "string", "7", str(uuid5(NAMESPACE, "t:7"))),
        (of(map={"n": "NEW", "c": "CLOSED"}), "text", "string", "c", "CLOSED"),
        (of(map={"n": 1}), "text", "int", "n", 1),
        (of(minor_units=2), "numeric", "long", "19.99", 1999),
        (of(minor_units=2), "numeric", "long", "-0.10", -10),
        (of(minor_units=2), "numeric", "long", "19.9900", 1999),
        (of(minor_units=0), "integer", "long", "7", 7),
        (of(), TIME, "string", "2026-03-01 10:00:00.5+00", "2026-03-01T10:00:00.500000Z"),
        (of(), TIME, "string", "0044-03-15 12:00:00+00", "0044-03-15T12:00:00.000000Z"),
        (of(), TIME, "long", "1970-01-01 00:00:01.5+00", 1500),
        (of(zone=BERLIN), LOCAL, "string", "2026-07-01 12:00:00", "2026-07-01T10:00:00.000000Z"),
        (of(zone=BERLIN), LOCAL, "string", "2026-01-01 12:00:00", "2026-01-01T11:00:00.000000Z"),
    ],
)
def test_a_value_becomes_what_the_field_asks_for(source, kind, target, text, value):
    found = converted(source, kind, target, text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("source", "kind", "target", "text", "said"),
    [
        (of(map={"n": "NEW"}), "text", "string", "x", r"c: 'x' has no entry in the map"),
        (of(minor_units=2), "numeric", "long", "1.999", r"c: 1.999 has more than 2 digits"),
        (of(minor_units=2), "numeric", "long", "NaN", r"c: NaN is no amount"),
        (of(minor_units=2), "numeric", "int", "99999999.99", r"c: 9999999999 is out of the field's range"),
        (of(), "bigint", "int", "2147483648", r"c: 2147483648 is out of the field's range"),
        (of(), "bigint", "int", None, r"c is NULL, which the field cannot be"),
        (of(), TIME, "string", "infinity", r"c: infinity is no time"),
        (of(), TIME, "string", "0044-03-15 12:00:00+00 BC", r"c: .* is no time"),
    ],
)
def test_a_value_that_the_mapping_does_not_know_is_refused_with_its_column(source, kind, target, text, said):
    with pytest.raises(RowRefused, match=said):
        converted(source, kind, target, text)


AMBIGUOUS, SKIPPED = "2026-10-25 02:30:00", "2026-03-29 02:30:00"


def test_an_hour_that_the_clock_showed_twice_is_refused_unless_the_mapping_chooses():
    with pytest.raises(RowRefused, match="was shown twice by the clock in Europe/Berlin"):
        converted(of(zone=BERLIN), LOCAL, "string", AMBIGUOUS)
    earlier = converted(of(zone=BERLIN, ambiguous="earlier"), LOCAL, "string", AMBIGUOUS)
    later = converted(of(zone=BERLIN, ambiguous="later"), LOCAL, "string", AMBIGUOUS)
    assert (earlier, later) == ("2026-10-25T00:30:00.000000Z", "2026-10-25T01:30:00.000000Z")


def test_an_hour_that_the_clock_skipped_is_refused_unless_the_mapping_puts_it_forward():
    with pytest.raises(RowRefused, match="was skipped by the clock in Europe/Berlin"):
        converted(of(zone=BERLIN, ambiguous="later"), LOCAL, "string", SKIPPED)
    forward = converted(of(zone=BERLIN, nonexistent="forward"), LOCAL, "string", SKIPPED)
    assert forward == "2026-03-29T01:30:00.000000Z"  # 03:30 in summer time


def test_null_is_null_where_the_field_may_be_and_else_the_default():
    assert converted(of(), "text", "string", None, nullable=True) is None
    assert converted(of(default=0), "integer", "int", None) == 0
    assert converted(of(default=0), "integer", "int", None, nullable=True) == 0
    assert converted(of(default=0), "integer", "int", "3") == 3


@pytest.mark.parametrize(
    ("source", "kind", "target", "said"),
    [
        (of(), "numeric", "long", "say minor_units"),
        (of(), LOCAL, "string", "say which it is in"),
        (of(zone=BERLIN), TIME, "string", "zone is for a time without one"),
        (of(), "bigint", "uuid", "say id_of"),
        (of(id_of="t"), "numeric", "uuid", "id_of makes a uuid of a key"),
        (of(minor_units=2), "numeric", "string", "minor_units makes a whole number"),
        (of(), "bytea", "string", "bytea does not become string"),
        (of(), "text", "long", "text does not become long"),
        (of(), TIME, "int", "a time becomes a string"),
        (of(map={"n": 1}), "text", "string", "1 is no string"),
        (of(default="x"), "integer", "int", "'x' is no int"),
        (Source(value=True), "", "int", "True is no int"),
    ],
)
def test_a_column_that_can_never_become_the_field_is_refused_at_once(source, kind, target, said):
    column = Column("c", kind, kind, nullable=True) if source.column else None
    with pytest.raises(Unconvertible, match=said):
        conversion(source, column, Scalar(target), NAMESPACE)


HEAD = f'namespace = "{NAMESPACE}"\n[aggregates.a]\ntable = "t"\nkey = "id"\nevent = "e.E"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('namespace = "x"', "write a UUID of your own"),
        (f'namespace = "{NAMESPACE}"', r"there is no \[aggregates.NAME\]"),
        (HEAD + 'colour = "red"\nfields = {}', "nothing understands 'colour'"),
        (HEAD + "ignore = [1]\nfields = {}", "write names of columns"),
        (HEAD + 'fields = { a = { column = "b", colour = 1 } }', r"fields.a: nothing understands 'colour'"),
        (HEAD + 'fields = { a = { column = "b", value = 1 } }', "say either column or value"),
        (HEAD + "fields = { a = {} }", "say either column or value"),
        (HEAD + 'fields = { a = { column = "b", zone = "Mars" } }', "there is no such time zone"),
        (HEAD + 'fields = { a = { column = "b", ambiguous = "both" } }', "it is one of earlier, later, refuse"),
        (HEAD + 'fields = { a = { column = "b", id_of = "t", minor_units = 2 } }', "minor_units and id_of cannot both"),
        (HEAD + 'fields = { a = { column = "b", shared = true, id_of = "t" } }', "id_of and shared cannot both be"),
        (HEAD + 'fields = { a = { column = "b", shared = 1 } }', "shared is true or false, of a column"),
        (HEAD + "fields = { a = { value = 1, shared = true } }", "shared is true or false, of a column"),
        (HEAD + "fields = {}\napply = { defaults = { a = [] } }", r"apply.defaults.a = \[\]; write a text, a number"),
        (HEAD + "fields = {}\napply = { a = 1 }", "nothing understands 'a'"),
        (HEAD + f'fields = {{}}\nservice = {{ {THERE}, by = "name" }}', "by = 'name'; it is one of id, key"),
        (HEAD + f"fields = {{}}\nservice = {{ {THERE}, children = {{ a = {CHILD} }} }}", "are compared by = 'key'"),
        (HEAD + 'fields = {}\ndeleted = { event = "e.D", fields = { a = "b" } }', "only the key is known"),
        (HEAD, "fields = None"),
    ],
)
def test_a_mapping_file_that_nothing_understands_is_refused_by_name(tmp_path, text, said):
    path = tmp_path / "migrate.toml"
    path.write_text(text)
    with pytest.raises(MappingError, match=said):
        document.load(path)
