"""What a column becomes in an event becomes that column again: row, event, row, for each type and conversion."""

from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from waybill.contracts.fields import Nullable, Scalar
from waybill.migrate import reading, tables
from waybill.migrate.applying.inverse import inverse
from waybill.migrate.mapping.conversions import conversion
from waybill.migrate.mapping.document import Source

BERLIN = ZoneInfo("Europe/Berlin")
ODD = "a\tb\nc\\d'e\"f%g{h}\u0131\u0301\u202e\U0001f600\ufffe\x01\x7f$waybill$"
TEXTS = ("''", "'  '", "'NULL'", "'{}'", "'\\N'", "'%%s'")
TYPES = {
    # type: (fields, source, SQL of values, SQL of a random one)
    "smallint": (("int", "long", "string"), {}, ("-32768", "0", "32767"), "(random() * 60000 - 30000)::int"),
    "integer": (("int", "long", "string"), {}, ("-2147483648", "2147483647"), "(random() * 2e9)::int"),
    "bigint": (("long", "string"), {"shared": True}, ("-9223372036854775808", "9223372036854775807"), "7"),
    "numeric(12,2)": (("long",), {"minor_units": 2}, ("-0.01", "0", "9999999999.99"), "(random() * 1e6 - 5e5)"),
    "numeric(12,4)": (("long",), {"minor_units": 4}, ("-0.0001", "12345678.0001"), "random() * 100"),
    "numeric": (("string",), {}, ("1.50", "0.000", "-1e-30", "1e300", "'NaN'"), "random() * 1e9"),
    "boolean": (("boolean",), {}, ("true", "false"), "random() < 0.5"),
    "text": (("string",), {}, (*TEXTS, "%(odd)s"), "md5(random()::text)"),
    "varchar(200)": (("string",), {"map": {"a": "A", "": "none", ODD: "odd"}}, ("'a'", "''", "%(odd)s"), "'a'"),
    "char(5)": (("string",), {}, ("'ab'", "''"), "'x'"),
    "uuid": (("uuid", "string"), {}, ("'00000000-0000-0000-0000-000000000000'",), "gen_random_uuid()"),
    "date": (("string",), {}, ("'0001-01-01'", "'9999-12-31'", "'2024-02-29'"), "current_date - 7"),
    "jsonb": (("string",), {}, ("'null'", """'{"b": [1.10, "\\u00e9"], "a": {}}'"""), "to_jsonb(random())"),
    "json": (("string",), {}, ("""' {"b":1,"a" : 2} '""",), "to_json(random())"),
    "double precision": (("string",), {}, ("'-0'", "'Infinity'", "1e-300", "0.1"), "random()"),
    "real": (("string",), {}, ("0.1", "'NaN'"), "random()"),
    "timestamptz": (
        ("string",),
        {},
        ("'1969-12-31 23:59:59.999999+00'", "'0001-01-01 00:00:00+00'", "'2026-10-25 00:30:00.000001+00'"),
        "now() - random() * interval '50 years'",
    ),
    "timestamptz(3)": (
        ("long", "string"),
        {},
        ("'1969-12-31 23:59:59.999+00'",),
        "now() - random() * interval '9 years'",
    ),
    "timestamp": (
        ("string",),
        {"zone": BERLIN, "ambiguous": "later"},
        ("'2026-10-25 02:30:00.5'", "'2026-03-29 03:00'", "'1900-01-01'"),
        "'2020-06-01'::timestamp + random() * interval '90 days'",
    ),
    "timestamp(0)": (("long",), {"zone": BERLIN, "ambiguous": "earlier"}, ("'2026-10-25 02:30'",), "'2020-06-01'"),
    "mood": (("string",), {"map": {"sad": "SAD", "so so": "SO_SO"}}, ("'sad'", "'so so'"), "'sad'"),
    "positive": (("int",), {}, ("1", "2147483647"), "1 + (random() * 9)::int"),
}


@pytest.fixture
def scratch(bookings):
    """A database with types of its own."""
    bookings.execute("CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE DOMAIN positive AS integer CHECK (value > 0)")
    return bookings


def test_each_type_and_conversion_comes_back_as_it_was(scratch):
    for number, (kind, (fields, given, values, random_one)) in enumerate(TYPES.items()):
        table, copy = f"before_{number}", f"after_{number}"
        for name in (table, copy):
            scratch.execute(f"CREATE TABLE {name} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value {kind})")
        with connection.cursor() as cursor:
            for value in (*values, "NULL", *[random_one] * 20):
                cursor.execute(f"INSERT INTO {table} (value) VALUES ({value})", {"odd": ODD})
        for field in fields:
            assert back_and_forth(table, copy, Source(column="value", **given), field) == [], (kind, field)


def back_and_forth(table: str, copy: str, source: Source, field: str) -> list[object]:
    """What is not the same afterwards."""
    with connection.cursor() as cursor:
        cursor.execute(reading.AS_TEXT.replace("true", "false"))
        read = tables.read(cursor, table)
        assert read is not None
        column = read.columns["value"]
        kind = Nullable(Scalar(field))  # pyright: ignore[reportArgumentType]
        there, back = conversion(source, column, kind, None), inverse(source, column, kind)  # pyright: ignore[reportArgumentType]
        cursor.execute(f"SELECT value::text FROM {table} ORDER BY id")
        texts = [text for (text,) in cursor.fetchall()]
        told = [there(text) for text in texts]
        cursor.execute(f"TRUNCATE {copy} RESTART IDENTITY")
        cursor.execute(
            f"INSERT INTO {copy} (value) SELECT value::{column.cast}"
            " FROM unnest(%s::text[]) WITH ORDINALITY AS n (value, nth) ORDER BY nth",
            [[back(value) for value in told]],
        )
        cursor.execute(f"SELECT value::text FROM {copy} ORDER BY id")
        return [one for one in zip(texts, cursor.fetchall(), strict=True) if one[0] != one[1][0]]
