"""Whether every version of an event can be read by code that knows any other one, checked offline on the files.

Public events are held FULL_TRANSITIVE: each version reads each, since subscribers neither deploy with us nor at one
time. Private events never leave their service, so only newer versions must read older ones, which stay in the outbox.

The resolution rules are Apache Avro's own checker. It ignores logical types, to which a uuid is a string; but a
subscriber would then meet text where its class promises a UUID, so a field that changes between the two is refused too.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import permutations

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.errors import AvroException
from avro.schema import Schema, parse

from schemas.contracts import Contract, by_event
from schemas.fields import Array, ContractError, FieldType, Nullable, Record, Scalar, read_record


def problems(contracts: Iterable[Contract]) -> Iterator[str]:
    """Give one line for each pair of versions that do not fit; nothing when all do.

    Raises:
        ContractError: A file is not a valid Avro schema.

    """
    for versions in by_event(contracts).values():
        parsed = {contract.version: _parse(contract) for contract in versions}
        for reader, writer in permutations(versions, 2):
            if reader.topic is None and reader.version < writer.version:
                continue
            found = [*_unreadable(parsed[reader.version], parsed[writer.version])]
            found += _logical_changes(read_record(reader.schema), read_record(writer.schema))
            if found:
                yield f"{reader.source} cannot read what {writer.source} writes: {'; '.join(sorted(set(found)))}"


def _parse(contract: Contract) -> Schema:
    try:
        return parse(json.dumps(contract.schema))
    except AvroException as error:
        raise ContractError(f"{contract.source}: {error}") from None


def _unreadable(reader: Schema, writer: Schema) -> Iterator[str]:
    result = ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)
    if result.compatibility is SchemaCompatibilityType.compatible:
        return
    kinds = ", ".join(sorted(kind.value.replace("_", " ") for kind in result.incompatibilities))
    yield f"{kinds} ({', '.join(sorted(result.messages))})"


def _logical_changes(reader: Record, writer: Record) -> Iterator[str]:
    mine, theirs = dict(_scalars(reader, "")), dict(_scalars(writer, ""))
    for path in mine.keys() & theirs.keys():
        if {mine[path], theirs[path]} == {"string", "uuid"}:
            yield f"{path} is a {mine[path]} here and a {theirs[path]} there"


def _scalars(kind: FieldType, path: str) -> Iterator[tuple[str, str]]:
    match kind:
        case Scalar(name):
            yield path, name
        case Array(items):
            yield from _scalars(items, f"{path}[]")
        case Nullable(of):
            yield from _scalars(of, path)
        case Record():
            for field in kind.fields:
                yield from _scalars(field.type, f"{path}.{field.name}".lstrip("."))
