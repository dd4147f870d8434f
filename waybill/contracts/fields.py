"""A schema as a typed tree: the part of Avro that our events use, and nothing else.

The generator writes classes from it and the codec checks values against it. Whoever needs another Avro type adds it
here, and both type checker and tests then point at the places that must learn it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast

ScalarName: TypeAlias = Literal["boolean", "int", "long", "string", "uuid"]
FieldType: TypeAlias = "Scalar | Array | Nullable | Record"

# Apart from None, which is a default: null.
NO_DEFAULT: Final = object()
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RANGES: Final[Mapping[str, range]] = {"int": range(-(2**31), 2**31), "long": range(-(2**63), 2**63)}
_SCALARS: Mapping[str, ScalarName] = {
    "boolean": "boolean",
    "int": "int",
    "long": "long",
    "string": "string",
}


class ContractError(ValueError):
    """An `.avsc` file breaks a rule; the message names the place and the remedy."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value of its own: number, text, truth, uuid."""

    name: ScalarName


@dataclass(frozen=True, slots=True)
class Array:
    """Any number of values of one type."""

    items: FieldType


@dataclass(frozen=True, slots=True)
class Nullable:
    """A value, or null."""

    of: FieldType


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record; `default` is NO_DEFAULT where the schema gives none."""

    name: str
    type: FieldType
    doc: str
    default: object
    deprecated: str | None = None
    """What to read instead, where the field is only kept for those who read it."""


@dataclass(frozen=True, slots=True)
class Record:
    """Named fields; equal where name, docs, types and defaults are."""

    full_name: str
    doc: str
    fields: tuple[Field, ...]
    deprecated: str | None = None
    """What to subscribe to instead, where the event is only kept for those who react to it."""

    @property
    def name(self) -> str:
        """Give the name without its namespace."""
        return self.full_name.rpartition(".")[2]


def read_record(schema: Mapping[str, Any]) -> Record:
    """Turn the JSON of an event's schema into its tree.

    Raises:
        ContractError: It uses a type that is not in this module, or a field has no doc.

    """
    return _record(schema, schema["namespace"], {})


def _record(schema: Mapping[str, Any], namespace: str, known: dict[str, Record]) -> Record:
    full_name = f"{schema.get('namespace', namespace)}.{schema['name']}"
    fields: list[Field] = []
    for field in cast("Sequence[Mapping[str, Any]]", schema["fields"]):
        where = f"{full_name}.{field['name']}"
        if not _NAME.fullmatch(field["name"]):
            raise ContractError(f"{where}: a name is a letter, then letters, digits and underscores")
        if not (field.get("doc") and schema.get("doc")):
            raise ContractError(f"{where}: write a doc on the record and on the field: meaning and unit")
        kind = _type(field["type"], namespace, known, where)
        default = field.get("default", NO_DEFAULT)
        if default is not NO_DEFAULT and not _may_be(kind, default):
            raise ContractError(
                f"{where}: the default {default!r} is not of the field's type; null is of a nullable one"
            )
        fields.append(Field(field["name"], kind, field["doc"], default, _deprecated(field, where)))
    return known.setdefault(full_name, Record(full_name, schema["doc"], tuple(fields), _deprecated(schema, full_name)))


def _deprecated(said: Mapping[str, Any], where: str) -> str | None:
    text = said.get("deprecated")
    if text is not None and not (isinstance(text, str) and text.endswith(".")):
        raise ContractError(
            f"{where}: deprecated is {text!r}; write one sentence, with its full stop: what to read instead"
        )
    return text


def _may_be(kind: FieldType, default: object) -> bool:
    """Tell whether a default is of its type; Avro wants that of a union to be of the first branch, here null."""
    match kind:
        case Nullable():
            return default is None
        case Array():
            return default == []
        case Scalar("boolean"):
            return isinstance(default, bool)
        case Scalar("int" | "long" as name):
            # Not isinstance: in Python True is an int, and in Avro it is none.
            return type(default) is int and default in RANGES[name]
        case Scalar():
            return isinstance(default, str)
        case Record():
            return False


def _type(avro: Any, namespace: str, known: dict[str, Record], where: str) -> FieldType:
    match avro:
        case str() if avro in _SCALARS:
            return Scalar(_SCALARS[avro])
        case str() if (full_name := avro if "." in avro else f"{namespace}.{avro}") in known:
            return known[full_name]
        case {"type": "string", "logicalType": "uuid"}:
            return Scalar("uuid")
        case {"type": "array", "items": items}:
            return Array(_type(items, namespace, known, where))
        case {"type": "record"}:
            return _record(avro, namespace, known)
        case ["null", other]:
            return Nullable(_type(other, namespace, known, where))
        case _:
            raise ContractError(f"{where}: the type {avro} is not in use; add it to waybill/contracts/fields.py")
