"""One event of each type, with values that show when fields are mixed up, and folders of contracts to break."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from schemas.events import EVENTS
from waybill.contracts.contracts import load
from waybill.contracts.event import Event
from waybill.contracts.fields import Array, FieldType, Nullable, Record, Scalar, read_record

Schema = dict[str, Any]
Change = Callable[[Schema], object]

CURRENT = {(contract.event_type, contract.version): contract for contract in load()}


def sample(event_type: str, *, null: bool = False) -> Event:
    """Give an event with another value in each field; `null` leaves out what may be null."""
    event_class = EVENTS[event_type]
    schema = CURRENT[event_type, event_class.schema_version].schema
    return event_class.from_avro(_value(read_record(schema), "it", null=null))


def _value(kind: FieldType, path: str, *, null: bool) -> Any:
    match kind:
        case Scalar(name):
            return {
                "boolean": True,
                "int": -(2**31) + len(path),
                "long": 2**62 + len(path),
                "string": f"{path} — ✓",
                "uuid": uuid5(NAMESPACE_OID, path),
            }[name]
        case Nullable(of):
            return None if null else _value(of, path, null=null)
        case Array(items):
            return [_value(items, f"{path}[{index}]", null=null) for index in range(2)]
        case Record():
            return {field.name: _value(field.type, f"{path}.{field.name}", null=null) for field in kind.fields}


def write_versions(root: Path, *changes: Change, event: str = "order.events.v1/OrderPlaced") -> Path:
    """Write v1 of an event as it is, and one more version for each change made to the one before."""
    folder, name = event.split("/")
    schema: Schema = json.loads(json.dumps(next(c for c in CURRENT.values() if c.source == f"{event}.v1.avsc").schema))
    (root / folder).mkdir(exist_ok=True)
    for version, change in enumerate((lambda _: None, *changes), start=1):
        change(schema)
        (root / folder / f"{name}.v{version}.avsc").write_text(json.dumps(schema))
    return root


def add(field: Schema) -> Change:
    """Add a field at the end."""
    return lambda schema: schema["fields"].append({"doc": "Added.", **field})


def remove(name: str) -> Change:
    """Remove a field."""
    return lambda schema: schema.update(fields=[field for field in schema["fields"] if field["name"] != name])


def retype(name: str, to: object) -> Change:
    """Give a field another type."""
    return lambda schema: next(field for field in schema["fields"] if field["name"] == name).update(type=to)
