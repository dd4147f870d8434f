"""Events to Avro binary and back, and the Confluent frame around them on the wire.

`encode` runs inside the transaction that appends the event, so what breaks its contract is never committed. fastavro
alone does not see to that: it writes 2.5 as 2, an int of 2**31 without a word, and any text as a uuid. Each datum is
therefore held against the exact types of its schema first; only when they differ does the slow walk look which field
is wrong, or whether it is a subclass (a `StrEnum`) that may pass.

Schemas are parsed on first use: a program uses a third of them, and twenty programs start at once.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from io import BytesIO
from itertools import product
from typing import Any, NamedTuple, cast
from uuid import UUID

from fastavro import (
    parse_schema,
    schemaless_reader,  # pyright: ignore[reportUnknownVariableType] - fastavro leaves IO without its parameter
    schemaless_writer,  # pyright: ignore[reportUnknownVariableType]
)
from fastavro.read import SchemaResolutionError
from fastavro.schema import SchemaParseException
from fastavro.types import Schema

from waybill.application import application, event_classes, schema_files
from waybill.contracts.event import Event
from waybill.contracts.fields import RANGES, Array, FieldType, Nullable, Record, Scalar, read_record

_FRAME = struct.Struct(">BI")
_MAGIC = 0
_SCALARS: Mapping[str, type] = {"boolean": bool, "int": int, "long": int, "string": str, "uuid": UUID}
_SHOWN_CHARACTERS = 40
# What fastavro raises on bytes that are no such record; a hostile length makes a MemoryError.
_UNREADABLE = (EOFError, ValueError, TypeError, IndexError, OverflowError, MemoryError)


class UnreadableEvent(ValueError):
    """These bytes are no event that this code can read; retrying does not help."""

    def __init__(self, reason: str) -> None:
        """Keep the reason: one line for an operator, without the payload."""
        super().__init__(reason)
        self.reason = reason


class UnwritableEvent(ValueError):
    """A value does not fit the schema of its event; the message names event, field and value."""


def encode(event: Event) -> bytes:
    """Write an event as plain Avro binary in the current version of its schema.

    Raises:
        UnwritableEvent: A field is of the wrong type or out of the range of its Avro type.

    """
    schema, record, shape = _writer(event.event_type)
    problem = None
    try:
        datum = event.to_avro()
        if not _fits(shape, datum):
            problem = _wrong_record(record, event, "")
        if problem is None:
            buffer = BytesIO()
            schemaless_writer(buffer, schema, datum)
            return buffer.getvalue()
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        problem = _wrong_record(record, event, "") or str(error)
    raise UnwritableEvent(f"{event.event_type}: {problem}")


def decode(event_type: str, schema_version: int, payload: bytes, written_with: str | None = None) -> Event:
    """Read plain Avro binary that was written in a version of the schema, as the event's current class.

    `written_with` is the text of that version, as registered; it is of use where the version is newer than this code.

    Raises:
        UnreadableEvent: Type or version is not known here, or the bytes do not hold such an event.

    """
    writer, current, event_class = _reader(event_type, schema_version, written_with)
    buffer = BytesIO(payload)
    try:
        datum = schemaless_reader(buffer, writer, None)
        end = buffer.tell()
        if current is not None:
            # Read twice: while it resolves, fastavro passes over fields that are gone without checking their length.
            datum = schemaless_reader(BytesIO(payload), writer, current)
        event = event_class.from_avro(cast("Mapping[str, Any]", datum))
    except (*_UNREADABLE, SchemaResolutionError) as error:
        raise UnreadableEvent(f"{event_type} v{schema_version}: {_reason(error)} in {len(payload)} bytes") from error
    if left := len(payload) - end:
        raise UnreadableEvent(f"{event_type} v{schema_version}: {left} of {len(payload)} bytes are left over")
    _, record, shape = _writer(event_type)
    # An Avro int on the wire can be longer than 32 bits, and fastavro reads it all the same.
    if not _fits(shape, cast("Mapping[str, Any]", datum)) and (problem := _wrong_record(record, event, "")):
        raise UnreadableEvent(f"{event_type} v{schema_version}: {problem}")
    return event


def frame(schema_id: int, payload: bytes) -> bytes:
    """Put the Confluent header, a zero byte and the schema's id in the registry, before the payload."""
    return _FRAME.pack(_MAGIC, schema_id) + payload


def unframe(value: bytes) -> tuple[int, bytes]:
    """Split a record's value into the schema's id in the registry and the plain Avro binary.

    Raises:
        UnreadableEvent: The value does not start with the Confluent header.

    """
    if len(value) < _FRAME.size:
        raise UnreadableEvent(f"a value of {len(value)} bytes is shorter than the Confluent header of {_FRAME.size}")
    magic, schema_id = cast("tuple[int, int]", _FRAME.unpack_from(value))
    if magic != _MAGIC:
        raise UnreadableEvent(f"the first byte is {magic}, where the Confluent header has {_MAGIC}")
    return schema_id, value[_FRAME.size :]


class _Shape(NamedTuple):
    """What the quick check compares: exact types by position, ranges, and the same for the records in arrays."""

    types: frozenset[tuple[type, ...]]
    ints: tuple[str, ...]
    arrays: "tuple[tuple[str, _Shape], ...]"


@cache
def _writer(event_type: str) -> tuple[Schema, Record, _Shape]:
    event_class = event_classes().get(event_type)
    if event_class is None:
        raise UnwritableEvent(f"{event_type}: no such event; is the module of event classes fresh?")
    schema = _schema(event_type, event_class.schema_version)
    record = read_record(schema)
    return parse_schema(schema), record, _shape(record)


@cache
def _reader(
    event_type: str, schema_version: int, written_with: str | None
) -> tuple[Schema, Schema | None, type[Event]]:
    event_class = event_classes().get(event_type)
    if event_class is None:
        raise UnreadableEvent(f"{event_type}: an event of this type is not known here")
    if schema_version == event_class.schema_version:
        return parse_schema(_schema(event_type, schema_version)), None, event_class
    if (event_type, schema_version) in schema_files():
        writer = parse_schema(_schema(event_type, schema_version))
    else:
        writer = _newer(event_type, schema_version, written_with)
    return writer, parse_schema(_schema(event_type, event_class.schema_version)), event_class


def _newer(event_type: str, schema_version: int, written_with: str | None) -> Schema:
    if written_with is None:
        known = event_classes()[event_type].schema_version
        raise UnreadableEvent(f"{event_type} v{schema_version}: known here up to v{known}; deploy the newer schemas")
    try:
        return parse_schema(json.loads(written_with))
    except (ValueError, TypeError, KeyError, SchemaParseException) as error:
        raise UnreadableEvent(f"{event_type} v{schema_version}: its registered schema is none: {error}") from error


def _schema(event_type: str, schema_version: int) -> dict[str, Any]:
    path = application().schemas / schema_files()[event_type, schema_version]
    return json.loads(path.read_text(encoding="utf-8"))


def _shape(record: Record) -> _Shape:
    allowed: list[tuple[type, ...]] = []
    arrays: list[tuple[str, _Shape]] = []
    for field in record.fields:
        match field.type:
            case Scalar(name):
                allowed.append((_SCALARS[name],))
            case Nullable(Scalar(name)) if name != "int":
                allowed.append((_SCALARS[name], type(None)))
            case Array(Record() as items):
                allowed.append((list,))
                arrays.append((field.name, _shape(items)))
            case Array() | Nullable() | Record():
                allowed.append(())  # rare: nothing matches, so the slow walk looks at each
    ints = tuple(field.name for field in record.fields if field.type == Scalar("int"))
    return _Shape(frozenset(product(*allowed)), ints, tuple(arrays))


def _fits(shape: _Shape, datum: Mapping[str, Any]) -> bool:
    types, ints, arrays = shape
    if tuple(map(type, datum.values())) not in types:
        return False
    for name in ints:
        if not -2147483648 <= datum[name] <= 2147483647:  # noqa: PLR2004 - the range of an Avro int
            return False
    for name, items in arrays:
        for item in datum[name]:
            if not _fits(items, item):
                return False
    return True


def _wrong_record(record: Record, holder: object, path: str) -> str | None:
    for field in record.fields:
        value = getattr(holder, field.name, holder)
        if value is holder:
            return f"{path.rstrip('.') or 'it'} is {_show(holder)}, and the schema wants {record.name}"
        if problem := _wrong(field.type, value, path + field.name):
            return problem
    return None


def _wrong(wanted: FieldType, value: object, path: str) -> str | None:
    match wanted:
        case Scalar(name):
            return _wrong_scalar(name, value, path)
        case Nullable(of):
            return None if value is None else _wrong(of, value, path)
        case Record():
            return _wrong_record(wanted, value, f"{path}.")
        case Array(items):
            if not isinstance(value, (tuple, list)):
                return f"{path} is {_show(value)}, and the schema wants an array"
            found = (
                _wrong(items, item, f"{path}[{index}]") for index, item in enumerate(cast("Sequence[object]", value))
            )
            return next((problem for problem in found if problem), None)


def _wrong_scalar(name: str, value: object, path: str) -> str | None:
    if not isinstance(value, _SCALARS[name]):
        return f"{path} is {_show(value)}, and the schema wants {name}"
    if name in RANGES and value not in RANGES[name]:
        return f"{path} is {_show(value)}, which is beyond an Avro {name}"
    if isinstance(value, str) and not value.isprintable():
        try:
            value.encode()
        except UnicodeEncodeError:
            return f"{path} is {_show(value)}, which UTF-8 cannot hold"
    return None


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _reason(error: Exception) -> str:
    return "the bytes end early" if isinstance(error, (EOFError, IndexError)) else str(error) or type(error).__name__
