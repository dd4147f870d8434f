"""Whether every version of an event can be read by code that knows any other one, checked offline on the files.

Public events are held FULL_TRANSITIVE: each version reads each, since subscribers neither deploy with us nor at one
time. Private events never leave their service, so only newer versions must read older ones, which stay in the outbox.
An event that took another's place names it in `aliases`, and reads all that was written under the other name.

The resolution rules are Apache Avro's own checker, asked field by field so that the field can be named. It ignores
logical types, to which a uuid is a string; but a subscriber would then meet text where its class promises a UUID, so a
field that changes between the two is refused too.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final, NamedTuple, cast

from avro.compatibility import (
    ReaderWriterCompatibilityChecker,
    SchemaCompatibilityType,
    lookup_writer_field,
    schema_name_equals,
)
from avro.errors import AvroException
from avro.schema import ArraySchema, RecordSchema, Schema, UnionSchema, parse

from waybill.contracts.contracts import Contract, by_event
from waybill.contracts.fields import ContractError, read_record

_GIVE_A_DEFAULT: Final = 'give it one, as in {"type": ["null", "string"], "default": null}'
_KEEP: Final = 'keep it, and say in its "deprecated" what to read instead'
_ADD_ANOTHER: Final = 'keep it as it was, add a field of another name with a default, and say "deprecated" in this one'
_NO_SUCH_EVENT: Final = "which is no event here: name the one whose place this takes"


class _Break(NamedTuple):
    """A field that a reader cannot do with: the types of both sides, or None where it has no default and needs one."""

    path: str
    types: tuple[str, str] | None


def problems(contracts: Iterable[Contract]) -> Iterator[str]:
    """Give one line for each field of a version that breaks another one, with the remedy; nothing when all fit.

    Raises:
        ContractError: A file is not a valid Avro schema, or uses what is not in use here.

    """
    events = by_event(contracts)
    parsed = {contract.source: _parse(contract) for versions in events.values() for contract in versions}
    for versions in events.values():
        for older, newer in combinations(versions, 2):
            yield from _between(older, newer, parsed)
        for contract in versions:
            for alias in cast("Sequence[str]", contract.schema.get("aliases", ())):
                yield from _in_place_of(alias, events.get(alias, ()), contract, parsed)


def _parse(contract: Contract) -> Schema:
    read_record(contract.schema)
    try:
        return parse(json.dumps(contract.schema))
    except AvroException as error:
        raise ContractError(f"{contract.source}: {error}") from None


def _between(older: Contract, newer: Contract, parsed: Mapping[str, Schema]) -> Iterator[str]:
    old, new, was = parsed[older.source], parsed[newer.source], f"v{older.version}"
    retyped: dict[str, tuple[str, str]] = {}
    for path, types in _breaks(new, old):
        if types is None:
            yield f"{newer.source}: {path} has no default, and {was} has no such field: {_GIVE_A_DEFAULT}"
        else:
            retyped[path] = types
    # What is private is read by its own service alone, which is never older than what it reads.
    for path, types in _breaks(old, new) if older.topic else ():
        if types is None:
            yield f"{newer.source}: {path} is gone, and {was} has no default for it: {_KEEP}"
        else:
            retyped[path] = types[1], types[0]
    for path, (now, then) in retyped.items():
        yield f"{newer.source}: {path} is {now}, and {then} in {was}: {_ADD_ANOTHER}"


def _in_place_of(
    alias: str, former: Sequence[Contract], contract: Contract, parsed: Mapping[str, Schema]
) -> Iterator[str]:
    if not former:
        yield f"{contract.source}: aliases has {alias}, {_NO_SUCH_EVENT}"
    for one in former:
        for path, types in _breaks(parsed[contract.source], parsed[one.source]):
            if types is None:
                yield f"{contract.source}: {path} has no default, and {one.source} has no such field: {_GIVE_A_DEFAULT}"
            else:
                yield f"{contract.source}: {path} is {types[0]}, and {types[1]} in {one.source}: {_ADD_ANOTHER}"


def _breaks(reader: Schema, writer: Schema, path: str = "") -> Iterator[_Break]:
    """Ask the checker about each field by itself; what it says of a whole schema does not tell which one it was."""
    if isinstance(reader, RecordSchema) and isinstance(writer, RecordSchema) and schema_name_equals(reader, writer):
        for field in cast("Sequence[Any]", reader.fields):
            place = f"{path}.{field.name}".lstrip(".")
            other: Any = lookup_writer_field(writer, field)
            if other is not None:
                yield from _breaks(field.type, other.type, place)
            elif not field.has_default:
                yield _Break(place, None)
    elif isinstance(reader, ArraySchema) and isinstance(writer, ArraySchema):
        yield from _breaks(cast("Any", reader.items), cast("Any", writer.items), f"{path}[]")
    elif not _compatible(reader, writer):
        yield _Break(path, (_name(reader), _name(writer)))


def _compatible(reader: Schema, writer: Schema) -> bool:
    found = ReaderWriterCompatibilityChecker().get_compatibility(reader, writer).compatibility
    return found is SchemaCompatibilityType.compatible and _logical(reader) == _logical(writer)


def _logical(schema: Schema) -> set[object]:
    branches = cast("Sequence[Schema]", schema.schemas) if isinstance(schema, UnionSchema) else (schema,)
    return {branch.get_prop("logicalType") for branch in branches if branch.type != "null"}


def _name(schema: Schema) -> str:
    if isinstance(schema, UnionSchema):
        return " or ".join(_name(branch) for branch in cast("Sequence[Schema]", schema.schemas))
    if isinstance(schema, RecordSchema):
        return str(schema.name)
    return str(schema.get_prop("logicalType") or schema.type)
