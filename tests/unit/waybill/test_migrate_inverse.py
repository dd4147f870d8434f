"""What has no way back is said once, and what one event has and this side cannot hold of that event."""

from zoneinfo import ZoneInfo

import pytest

from waybill.contracts.fields import Nullable, Scalar
from waybill.migrate.applying.inverse import EventRefused, Irreversible, inverse
from waybill.migrate.mapping.document import Source
from waybill.migrate.tables import Column

BERLIN = ZoneInfo("Europe/Berlin")
KINDS = {
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "numeric(8,2)": "numeric",
}


def column(kind: str, *, nullable: bool = True) -> Column:
    return Column("c", kind, KINDS.get(kind, kind), nullable)


@pytest.mark.parametrize(
    ("kind", "field", "given", "why"),
    [
        ("bigint", "uuid", {"id_of": "booking"}, "made of a key"),
        ("text", "string", {"map": {"a": "x", "b": "x"}}, "'a' and 'b' both become 'x'"),
        ("text", "string", {"default": ""}, "NULL is told as ''"),
        ("numeric(8,2)", "long", {"minor_units": 3}, "2 digits behind the point, and the field tells of 3"),
        ("timestamptz", "long", {}, "milliseconds lose the microseconds"),
        ("timestamp", "string", {"zone": BERLIN, "nonexistent": "forward"}, "tells a skipped time as another one"),
    ],
)
def test_what_has_no_way_back_is_said(kind, field, given, why):
    with pytest.raises(Irreversible, match=why):
        inverse(Source(column="c", **given), column(kind), Scalar(field))


@pytest.mark.parametrize(
    ("kind", "field", "given", "value", "why"),
    [
        ("text", "string", {}, None, "c: null, and the column is NOT NULL"),
        ("text", "string", {}, "a\0b", "c: 'a.*b' has a NUL"),
        ("text", "string", {"map": {"a": "x"}}, "y", "c: 'y' has no entry in the map"),
        ("integer", "long", {"minor_units": 2}, 150, "c: 150 is no whole number with 2 digits behind the point"),
        ("timestamptz", "string", {}, "now", "c: 'now' is no time of RFC 3339"),
        ("timestamptz", "string", {}, "2026-01-01T00:00:00", "c: '2026-01-01T00:00:00' has no offset"),
        ("timestamp(3)", "long", {"zone": BERLIN}, 2**62, "c: .* is no time that a calendar has"),
    ],
)
def test_what_a_column_cannot_hold_is_refused(kind, field, given, value, why):
    name = KINDS.get(kind.partition("(")[0], kind)
    convert = inverse(Source(column="c", **given), Column("c", kind, name, nullable=False), Nullable(Scalar(field)))
    with pytest.raises(EventRefused, match=why):
        convert(value)
