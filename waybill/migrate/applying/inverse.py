"""Field to column: the value of an event becomes the text that PostgreSQL would give of the column.

The other way of `mapping.conversions`. What has no way back is said once (`Irreversible`), and `plan` shows it; what
one event has and this side cannot hold is said of that event (`EventRefused`). Nothing is guessed.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final

from waybill.contracts.fields import FieldType, Nullable
from waybill.deciders.outcomes import Unreadable
from waybill.migrate.mapping.conversions import INTEGERS, LOCAL_TIME, TIME
from waybill.migrate.mapping.document import NOTHING, Source
from waybill.migrate.tables import Column

Inverse = Callable[[Any], str | None]
_OfValue = Callable[[Any], str]
_SHOWN: Final = 60
_SCALE: Final = re.compile(r"numeric\(\d+,(-?\d+)\)")
_PRECISION: Final = re.compile(r"timestamp\((\d)\)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Irreversible(ValueError):
    """The field can never become the column again; the message says why and what would help."""


class EventRefused(Unreadable):
    """Tables of this side cannot hold what the event says; the message names table, column and remedy."""


def inverse(source: Source, column: Column, kind: FieldType) -> Inverse:
    """Return what makes a field's value to the column's text. Raises Irreversible."""
    if source.default is not NOTHING and column.nullable:
        raise Irreversible(
            f"NULL is told as {source.default!r}, and would come back as that: let the field be null, or the column not"
        )
    return partial(_with_null, column, _of_value(source, column, kind.of if isinstance(kind, Nullable) else kind))


def _of_value(source: Source, column: Column, kind: FieldType) -> _OfValue:
    if source.id_of is not None:
        raise Irreversible("it is made of a key, which cannot be read from it: tell the key too, with shared = true")
    if source.map is not None:
        return partial(_unmapped, _one_to_one(source.map))
    if source.minor_units is not None:
        return _amount(source.minor_units, column)
    if column.kind in {LOCAL_TIME, TIME}:
        return _time(source, column, kind)
    if column.kind == "boolean":
        return lambda value: "true" if value else "false"
    return _plain


def _one_to_one(known: Any) -> dict[object, str]:
    back: dict[object, str] = {}
    for text, value in known.items():
        if value in back:
            raise Irreversible(
                f"map: {back[value]!r} and {text!r} both become {value!r}; each needs a value of its own"
            )
        back[value] = text
    return back


def _unmapped(back: dict[object, str], value: object) -> str:
    try:
        return back[value]
    except KeyError:
        raise EventRefused(f"{_shown(value)} has no entry in the map") from None


def _amount(digits: int, column: Column) -> _OfValue:
    scale = _SCALE.fullmatch(column.type)
    if scale and int(scale[1]) < digits:
        raise Irreversible(f"{column.type} has {scale[1]} digits behind the point, and the field tells of {digits}")
    return partial(_decimal, digits, is_whole=column.kind in INTEGERS)


def _decimal(digits: int, value: int, *, is_whole: bool) -> str:
    amount = Decimal(value).scaleb(-digits)
    if not is_whole:
        return f"{amount:f}"
    if amount != int(amount):
        raise EventRefused(f"{value} is no whole number with {digits} digits behind the point")
    return str(int(amount))


def _time(source: Source, column: Column, kind: FieldType) -> _OfValue:
    is_milliseconds = getattr(kind, "name", "") == "long"
    precision = _PRECISION.search(column.type)
    if is_milliseconds and (precision is None or int(precision[1]) > 3):  # noqa: PLR2004 - milliseconds have three
        raise Irreversible("milliseconds lose the microseconds that the column has: tell it as a string (RFC 3339)")
    if source.nonexistent == "forward":
        raise Irreversible("nonexistent = 'forward' tells a skipped time as another one, which would come back")
    return partial(_local if column.kind == LOCAL_TIME else _moment, source, _read_long if is_milliseconds else _read)


def _read(value: str) -> datetime:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise EventRefused(f"{_shown(value)} is no time of RFC 3339") from None
    if at.tzinfo is None:
        raise EventRefused(f"{_shown(value)} has no offset from UTC")
    return at.astimezone(UTC)


def _read_long(value: int) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=value)
    except OverflowError:
        raise EventRefused(f"{value} is no time that a calendar has") from None


def _moment(_source: Source, read: Callable[[Any], datetime], value: Any) -> str:
    return read(value).isoformat()


def _local(source: Source, read: Callable[[Any], datetime], value: Any) -> str:
    return read(value).astimezone(source.zone).replace(tzinfo=None).isoformat()


def _plain(value: Any) -> str:
    text = str(value)
    if "\0" in text:
        raise EventRefused(f"{_shown(text)} has a NUL, which PostgreSQL keeps in no text")
    return text


def _with_null(column: Column, convert: _OfValue, value: Any) -> str | None:
    if value is None and not column.nullable:
        raise EventRefused(f"{column.name}: null, and the column is NOT NULL; let it be null, or the field not")
    try:
        return None if value is None else convert(value)
    except EventRefused as refused:
        raise EventRefused(f"{column.name}: {refused}") from None


def _shown(value: object) -> str:
    return repr(value)[:_SHOWN]
