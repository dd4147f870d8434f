"""Writes the module of event classes, one an event, from the current version of each `.avsc` file; and their page.

The classes are plain frozen dataclasses: no base class that does something at run time, no reflection when an event is
encoded. docs/decisions/0003 says why the generator is ours.
"""

import json
import keyword
from collections.abc import Iterable, Sequence
from pathlib import Path

from waybill.application import application
from waybill.contracts.contracts import Contract, by_event, load
from waybill.contracts.document import document
from waybill.contracts.event import Event
from waybill.contracts.fields import (
    NO_DEFAULT,
    Array,
    ContractError,
    Field,
    FieldType,
    Nullable,
    Record,
    Scalar,
    read_record,
)

_HEADER = '''\
"""The event classes. Generated from the `.avsc` files: change those, then `python -m waybill contracts generate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self
{uuid}
from waybill.contracts.event import Event
'''
_UUID = "from uuid import UUID\n"
# Avro's int and long are one type in Python; the codec holds values against their range.
_PYTHON_NAMES = {"boolean": "bool", "int": "int", "long": "int", "string": "str", "uuid": "UUID"}
# Names that a dataclass's field would hide.
_TAKEN = {*Event.__annotations__, *vars(Event)}
_LINE_LENGTH = 120


def generate(contracts: Sequence[Contract]) -> str:
    """Give the text of the module for the contracts, as `load` orders them.

    Raises:
        ContractError: A schema cannot become a class, or two records of one name differ.

    """
    current = [versions[-1] for versions in by_event(contracts).values()]
    records = {contract.event_type: read_record(contract.schema) for contract in current}
    blocks = [*(_class(record, None) for record in _shared_records(records.values()))]
    blocks += [_class(records[contract.event_type], contract) for contract in current]
    blocks += [_tables(contracts, current)]
    header = _HEADER.format(uuid=_UUID if any(": UUID" in block for block in blocks) else "")
    return "\n\n".join([header, *blocks])


def stale() -> dict[Path, str]:
    """Give the text of each generated file that is not what the contracts make of it today.

    Raises:
        ContractError: A file breaks a rule.
        ApplicationUnknown: Nothing names the module.

    """
    contracts, app = load(), application()
    fresh = {app.events_file: generate(contracts)}
    if app.document:
        fresh[app.document] = document(contracts)
    return {path: text for path, text in fresh.items() if not path.exists() or path.read_text(encoding="utf-8") != text}


def _shared_records(events: Iterable[Record]) -> list[Record]:
    """Give the records nested in events, each once, and prove that one Python name means one definition."""
    found: dict[str, Record] = {}
    for event in events:
        for record in (*_nested(event), event):
            other = found.setdefault(record.name, record)
            # Classes are named by the last part alone, so two records of one name would be one class.
            if other != record:
                raise ContractError(
                    f"{event.full_name}: its {record.full_name} differs from the {other.full_name} of another event; "
                    "give all of them the same definition, or another name",
                )
    event_names = {event.name for event in events}
    return [record for record in found.values() if record.name not in event_names]


def _nested(record: Record) -> Iterable[Record]:
    for field in record.fields:
        kind = field.type
        while isinstance(kind, (Array, Nullable)):
            kind = kind.items if isinstance(kind, Array) else kind.of
        if isinstance(kind, Record):
            yield from _nested(kind)
            yield kind


def _class(record: Record, contract: Contract | None) -> str:
    lines = ["@dataclass(frozen=True, kw_only=True, slots=True)"]
    lines += [f"class {record.name}({'Event' if contract else ''}):".replace("()", ""), _docstring(record)]
    if contract:
        lines += [
            "",
            f"    topic: ClassVar[str | None] = {_literal(contract.topic)}",
            f"    aggregate_type: ClassVar[str] = {_literal(contract.schema['aggregate'])}",
            f"    event_type: ClassVar[str] = {_literal(contract.event_type)}",
            f"    schema_version: ClassVar[int] = {contract.version}",
        ]
    lines.append("")
    for field in record.fields:
        lines += [f"    {_declare(field, record)}", _docstring(field)]
    if contract:
        lines += ["", "    @property", "    def aggregate_id(self) -> str:"]
        lines += ['        """Give the id of the aggregate it happened to, which is the key of its record."""']
        lines += [f"        return {_key(record, contract)}"]
    lines += ["", *_conversions(record.fields)]
    return "\n".join(lines) + "\n"


def _conversions(fields: Sequence[Field]) -> list[str]:
    to_avro = [f'            "{field.name}": {_to_avro(field.type, "self." + field.name)},' for field in fields]
    read = {field.name: _from_avro(field.type, f'datum["{field.name}"]') for field in fields}
    from_avro = [f"            {name}={value}," for name, value in read.items()]
    return [
        "    def to_avro(self) -> dict[str, Any]:",
        '        """Give the fields as fastavro writes them."""',
        "        return {",
        *to_avro,
        "        }",
        "",
        "    @classmethod",
        "    def from_avro(cls, datum: Mapping[str, Any]) -> Self:",
        '        """Build it from the fields as fastavro reads them."""',
        "        return cls(",
        *from_avro,
        "        )",
    ]


def _declare(field: Field, record: Record) -> str:
    if field.name in _TAKEN or keyword.iskeyword(field.name) or not field.name.islower():
        raise ContractError(f"{record.full_name}.{field.name}: a class cannot have such a field; rename it")
    declared = f"{field.name}: {_annotation(field.type)}"
    if field.default is NO_DEFAULT:
        return declared
    if isinstance(field.type, (Array, Record)) and field.default != []:
        raise ContractError(f"{record.full_name}.{field.name}: the default of an array is [], and a record has none")
    return f"{declared} = {'()' if isinstance(field.type, Array) else _literal(field.default)}"


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _annotation(kind: FieldType) -> str:
    match kind:
        case Scalar(name):
            return _PYTHON_NAMES[name]
        case Array(items):
            return f"tuple[{_annotation(items)}, ...]"
        case Nullable(of):
            return f"{_annotation(of)} | None"
        case Record():
            return kind.name


def _to_avro(kind: FieldType, value: str) -> str:
    match kind:
        case Array(Record()):
            return f"[item.to_avro() for item in {value}]"
        case Array(Scalar()):
            return f"list({value})"
        case Record():
            return f"{value}.to_avro()"
        case Scalar() | Nullable(Scalar()):
            return value
        case Array() | Nullable():
            raise ContractError(f"{value}: neither arrays nor records may be nullable or nested; leave them empty")


def _from_avro(kind: FieldType, value: str) -> str:
    match kind:
        case Array(Record() as items):
            return f"tuple(map({items.name}.from_avro, {value}))"
        case Array():
            return f"tuple({value})"
        case Record():
            return f"{kind.name}.from_avro({value})"
        case Scalar() | Nullable():
            return value


def _key(record: Record, contract: Contract) -> str:
    key = next(field for field in record.fields if field.name == contract.schema["key"])
    match key.type:
        case Scalar("uuid" | "int" | "long"):
            return f"str(self.{key.name})"
        case Scalar("string"):
            return f"self.{key.name}"
        case _:
            raise ContractError(f"{contract.source}: the key {key.name!r} is no uuid, string or whole number")


def _docstring(part: Record | Field) -> str:
    deprecated = f"\n\n    Deprecated: {part.deprecated}\n    " if part.deprecated else ""
    return f'    """{_doc(part.doc)}{deprecated}"""'


def _doc(text: str) -> str:
    if len(text) > _LINE_LENGTH - len('    """"""') or not text.endswith("."):
        raise ContractError(f"the doc {text!r}: write one sentence, with its full stop, that fits in a line")
    return text


def _tables(contracts: Sequence[Contract], current: Sequence[Contract]) -> str:
    lines = ["EVENTS: Mapping[str, type[Event]] = MappingProxyType(", "    {"]
    lines += [f'        "{contract.event_type}": {contract.name},' for contract in current]
    lines += ["    }", ")", '"""The current class of each event, by Avro full name."""', ""]
    lines += ["SOURCES: Mapping[tuple[str, int], str] = MappingProxyType(", "    {"]
    lines += [f'        ("{contract.event_type}", {contract.version}): "{contract.source}",' for contract in contracts]
    lines += ["    }", ")", '"""The file of each version of each event, below the folder of the schemas."""']
    return "\n".join(lines) + "\n"
