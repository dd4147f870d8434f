"""Column to field: the text that PostgreSQL gives of a value becomes what the event's schema asks for.

Text, and not Python's types, because it is exact for every type of column, the same for a row and for its child rows,
and what is refused can be shown as an operator finds it in psql. The session has ISO dates and UTC (`reading`).

What cannot be converted at all is said once, when the conversion is made (`Unconvertible`); what one row has and the
mapping does not know is said of that row (`RowRefused`). Nothing is guessed.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid5

from waybill.contracts.fields import RANGES, FieldType, Nullable, Scalar
from waybill.migrate.mapping.document import NOTHING, Source
from waybill.migrate.tables import Column

Conversion = Callable[[str | None], Any]
OfText = Callable[[str], Any]
INTEGERS: Final = frozenset({"smallint", "integer", "bigint"})
AS_TEXT: Final = frozenset(
    {"smallint", "integer", "bigint", "numeric", "text", "date", "uuid", "json", "jsonb", "real", "double precision"}
)
LOCAL_TIME, TIME = "timestamp without time zone", "timestamp with time zone"
_SHOWN: Final = 60


class Unconvertible(ValueError):
    """The column can never become the field; the message says why and what would help."""


class RowRefused(ValueError):
    """One row has a value that the mapping does not know; the message says which."""


def conversion(source: Source, column: Column | None, kind: FieldType, namespace: UUID) -> Conversion:
    """Return what makes a column's text to the field's value. Raises Unconvertible."""
    nullable = isinstance(kind, Nullable)
    target = kind.of if isinstance(kind, Nullable) else kind
    if not isinstance(target, Scalar):
        raise Unconvertible("the field is no number, text, truth or uuid; a list of records comes from a child table")
    if column is None:
        value = _constant(source.value, target)
        return lambda _: value
    convert = _of_column(source, column, target, namespace)
    bounded = _within(RANGES[target.name], convert) if target.name in RANGES else convert
    return _with_null(source, column, target, bounded, nullable=nullable)


def _constant(value: object, target: Scalar) -> object:
    if target.name == "uuid":
        try:
            return UUID(str(value))
        except ValueError:
            raise Unconvertible(f"{value!r} is no uuid") from None
    wanted = {"boolean": bool, "string": str}.get(target.name, int)
    if type(value) is not wanted or (
        isinstance(value, int) and target.name in RANGES and value not in RANGES[target.name]
    ):
        raise Unconvertible(f"{value!r} is no {target.name}")
    return value


def _of_column(source: Source, column: Column, target: Scalar, namespace: UUID) -> OfText:
    if source.map is not None:
        return partial(_mapped, {given: _constant(value, target) for given, value in source.map.items()})
    if source.id_of is not None:
        if column.kind not in {*INTEGERS, "text", "uuid"} or target.name not in {"uuid", "string"}:
            raise Unconvertible(f"id_of makes a uuid of a key; this is {column.kind} to {target.name}")
        return partial(_identifier, namespace, source.id_of, as_text=target.name == "string")
    if source.minor_units is not None:
        if column.kind not in {*INTEGERS, "numeric"} or target.name not in RANGES:
            raise Unconvertible(
                f"minor_units makes a whole number of a decimal; this is {column.kind} to {target.name}"
            )
        return partial(_minor_units, source.minor_units)
    if column.kind == LOCAL_TIME or source.zone is not None:
        return _local(source, column, target)
    return _plain(column, target)


def _local(source: Source, column: Column, target: Scalar) -> OfText:
    if column.kind != LOCAL_TIME:
        raise Unconvertible(f"zone is for a time without one; this is {column.kind}")
    if source.zone is None:
        raise Unconvertible("a time without a zone: say which it is in, as in zone = 'Europe/Berlin'")
    return partial(_told(target), partial(_in_zone, source))


def _plain(column: Column, target: Scalar) -> OfText:
    match column.kind, target.name:
        case kind, "int" | "long" if kind in INTEGERS:
            return _integer
        case "numeric", "int" | "long":
            raise Unconvertible("a decimal to a whole number: say minor_units = 2, or 0 where it never has a fraction")
        case "boolean", "boolean":
            return _truth
        case "uuid", "uuid":
            return _uuid
        case kind, "uuid" if kind in INTEGERS:
            raise Unconvertible("a key to a uuid: say id_of = the table that the key is of")
        case kind, _ if kind == TIME:
            return partial(_told(target), _moment)
        case kind, "string" if kind in AS_TEXT:
            return _text
        case _:
            raise Unconvertible(f"{column.type} does not become {target.name}")


def _with_null(source: Source, column: Column, target: Scalar, convert: OfText, *, nullable: bool) -> Conversion:
    has_default = source.default is not NOTHING
    default = _constant(source.default, target) if has_default else None
    name = column.name

    def of(text: str | None) -> Any:
        if text is None:
            if has_default or nullable:
                return default
            raise RowRefused(f"{name} is NULL, which the field cannot be; give a default")
        try:
            return convert(text)
        except RowRefused as refused:
            raise RowRefused(f"{name}: {refused}") from None

    return of


def _within(bounds: range, convert: OfText) -> OfText:
    def of(text: str) -> int:
        value = convert(text)
        if value not in bounds:
            raise RowRefused(f"{value} is out of the field's range")
        return value

    return of


def _mapped(known: dict[str, object], text: str) -> object:
    try:
        return known[text]
    except KeyError:
        raise RowRefused(f"{text[:_SHOWN]!r} has no entry in the map") from None


def _identifier(namespace: UUID, table: str, text: str, *, as_text: bool) -> UUID | str:
    made = uuid5(namespace, f"{table}:{text}")
    return str(made) if as_text else made


def _minor_units(digits: int, text: str) -> int:
    try:
        value = Decimal(text).scaleb(digits)
        whole = int(value)
    except (InvalidOperation, ValueError, OverflowError):
        raise RowRefused(f"{text[:_SHOWN]} is no amount") from None
    if value != whole:
        raise RowRefused(f"{text[:_SHOWN]} has more than {digits} digits behind the point")
    return whole


def _integer(text: str) -> int:
    return int(text)


def _text(text: str) -> str:
    return text


def _truth(text: str) -> bool:
    return text in {"t", "true"}


def _uuid(text: str) -> UUID:
    return UUID(text)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):  # infinity, BC, or past the year 9999
        raise RowRefused(f"{text} is no time that others can read") from None


def _in_zone(source: Source, text: str) -> datetime:
    """Return the moment that a local time was.

    Where the clock was put back, an hour has each of its times twice: fold 0 is the earlier. Where it was put forward,
    the times of the skipped hour were never shown, and come back from UTC as another time.
    """
    assert source.zone is not None
    try:
        local = datetime.fromisoformat(text).replace(tzinfo=source.zone)
        earlier, later = (local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    except (ValueError, OverflowError):
        raise RowRefused(f"{text} is no time that others can read") from None
    if earlier == later:
        return earlier
    if earlier.astimezone(source.zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        if source.nonexistent == "refuse":
            raise RowRefused(f"{text} was skipped by the clock in {source.zone.key}; say nonexistent = 'forward'")
        return earlier
    if source.ambiguous == "refuse":
        raise RowRefused(
            f"{text} was shown twice by the clock in {source.zone.key}; say ambiguous = 'earlier' or 'later'"
        )
    return earlier if source.ambiguous == "earlier" else later


def _told(target: Scalar) -> Callable[[Callable[[str], datetime], str], Any]:
    if target.name == "string":
        return _rfc_3339
    if target.name == "long":
        return _milliseconds
    raise Unconvertible(f"a time becomes a string (RFC 3339, UTC) or a long (milliseconds), not {target.name}")


def _rfc_3339(read: Callable[[str], datetime], text: str) -> str:
    return read(text).isoformat(timespec="microseconds").replace("+00:00", "Z")  # strftime gives a year fewer digits


def _milliseconds(read: Callable[[str], datetime], text: str) -> int:
    return (read(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
