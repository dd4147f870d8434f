"""What a list holds is what PostgreSQL reads from its array."""

import uuid
from datetime import UTC, datetime
from enum import IntEnum, StrEnum

import pytest
from django.db import DataError, connection
from hypothesis import given
from hypothesis import strategies as st

from waybill.database.arrays import ArrayDumper

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
KINDS = {
    "text": TEXT,
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "double precision": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "bytea": st.binary(),
    "uuid": st.uuids(),
    "timestamptz": st.datetimes(datetime(1900, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - given a zone
}


class Word(StrEnum):
    """A text by another type."""

    NULL = "null"


class Number(IntEnum):
    """A number by another type."""

    SEVEN = 7


def read(kind, items):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM unnest(%s::{kind}[])", [items])
        assert isinstance(connection.connection.adapters.get_dumper(list, "s")(list), ArrayDumper)
        return [bytes(item) if isinstance(item, memoryview) else item for (item,) in cursor.fetchall()]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_list_arrives_as_it_is(order_database, kind):
    @given(st.lists(st.none() | KINDS[kind]))
    def arrives(items):
        assert read(kind, items) == items

    arrives()


def test_what_looks_like_part_of_an_array_is_text(order_database):
    items = ["NULL", None, "", "{}", '"', "\\", ",", " a ", "a\nb", '\\"', "ü", Word.NULL]
    assert read("text", items) == items


def test_what_derives_from_a_known_type_is_written_as_that(order_database):
    assert read("int", [Number.SEVEN, 1]) == [7, 1]


def test_a_text_that_postgresql_cannot_hold_is_refused_and_not_cut(order_database):
    with pytest.raises(DataError):
        read("text", ["before", "in\0between"])


def test_what_no_array_holds_is_named(order_database):
    with pytest.raises(TypeError, match="complex"):
        read("text", [1j])


def test_a_statement_is_the_same_whatever_its_lists_hold(order_database):
    with connection.cursor() as cursor:
        for items in ([1], [2**40], [None], []) * 4:
            cursor.execute("SELECT count(*) AS told_apart FROM unnest(%s::bigint[])", [items])
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%told_apart%'")
        assert cursor.fetchone() == (1,)


def test_an_id_is_an_id_by_either_type(order_database):
    key = uuid.uuid4()
    assert read("uuid", [key, str(key)]) == [key, key]
