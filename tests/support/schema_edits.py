"""Edits that somebody makes to an event's next version, and what the gate says of each: None where it lets it pass."""

from typing import Final, NamedTuple

from tests.support.schema_samples import Change, Schema, add, remove, retype


class Edit(NamedTuple):
    """What becomes of OrderPlaced, version by version, and what the gate's line has to hold."""

    changes: tuple[Change, ...]
    told: str | None = None


NOTE: Final[Schema] = {"name": "note", "type": ["null", "string"], "default": None}
COUNT: Final[Schema] = {"name": "count", "type": "int", "default": 0}
COLOUR: Final[Schema] = {"type": "enum", "name": "Colour", "symbols": ["RED", "GREEN"]}


def rename(name: str, to: str, *, alias: bool) -> Change:
    """Give a field another name, with the old one as its alias or without."""

    def change(schema: Schema) -> None:
        for field in schema["fields"]:
            if field["name"] == name:
                field.update(name=to, **({"aliases": [name]} if alias else {}))

    return change


def of_a_line(change: Change) -> Change:
    """Make the change to the record of a line."""
    return lambda schema: change(schema["fields"][2]["type"]["items"])


def line_called(name: str, *, alias: bool) -> Change:
    """Give the record of a line another name."""
    aliases: Schema = {"aliases": ["waybill.order.OrderLine"]} if alias else {}
    return of_a_line(lambda line: line.update(name=name, **aliases))


def last(**said: object) -> Change:
    """Say something else of the last field."""
    return lambda schema: schema["fields"][-1].update(said)


def symbols(*names: str) -> Change:
    """Give the enum of the last field other symbols."""
    return lambda schema: schema["fields"][-1].update(type={**COLOUR, "symbols": names})


_NO_DEFAULT = "note has no default, and v1 has no such field: give it one"
EDITS: Final[dict[str, Edit]] = {
    "nothing": Edit((last(doc="The same in other words."),)),
    "field-added-with-default": Edit((add(NOTE),)),
    "field-added-without-default": Edit((add({"name": "note", "type": "string"}),), _NO_DEFAULT),
    "nullable-added-without-default": Edit((add({"name": "note", "type": ["null", "string"]}),), _NO_DEFAULT),
    "field-added-to-lines": Edit((of_a_line(add(NOTE)),)),
    "field-added-to-lines-without-default": Edit(
        (of_a_line(add({"name": "note", "type": "string"})),), "lines[].note has no default"
    ),
    "field-removed": Edit((remove("currency"),), "currency is gone, and v1 has no default for it: keep it"),
    "field-removed-from-lines": Edit((of_a_line(remove("quantity")),), "lines[].quantity is gone"),
    "optional-field-removed": Edit((add(NOTE), remove("note"))),
    "field-renamed": Edit((rename("currency", "iso_code", alias=False),), "currency is gone"),
    "field-renamed-with-alias": Edit((rename("currency", "iso_code", alias=True),), "currency is gone"),
    "optional-field-renamed-with-alias": Edit((add(NOTE), rename("note", "remark", alias=True))),
    "int-widened": Edit((add(COUNT), retype("count", "long")), "count is long, and int in v2: keep it"),
    "int-in-lines-widened": Edit((of_a_line(retype("quantity", "long")),), "lines[].quantity is long, and int"),
    "long-narrowed": Edit((retype("total", "int"),), "total is int, and long in v1"),
    "long-to-string": Edit((retype("total", "string"),), "total is string, and long in v1"),
    "made-nullable": Edit((retype("currency", ["null", "string"]),), "currency is null or string, and string"),
    "uuid-to-string": Edit((retype("order_id", "string"),), "order_id is string, and uuid in v1"),
    "string-to-uuid": Edit(
        (retype("customer_id", {"type": "string", "logicalType": "uuid"}),), "customer_id is uuid, and string"
    ),
    "lines-to-a-text": Edit((retype("lines", "string"),), "lines is string, and array in v1"),
    "record-of-lines-renamed": Edit((line_called("OrderItem", alias=False),), "lines[] is OrderItem, and"),
    "record-of-lines-renamed-with-alias": Edit((line_called("OrderItem", alias=True),), "lines[] is OrderItem"),
    "default-changed": Edit((add(COUNT), last(default=1))),
    "default-dropped": Edit((add(COUNT), lambda s: s["fields"][-1].pop("default")), "count has no default, and v1"),
    "default-of-another-type": Edit((add({**COUNT, "default": "none"}),), "the default 'none' is not of"),
    "default-of-the-second-branch": Edit((add({**NOTE, "default": "x"}),), "the default 'x' is not of"),
    "default-beyond-an-int": Edit((add({**COUNT, "default": 2**31}),), "the default 2147483648 is not of"),
    "enum-added": Edit((add({"name": "colour", "type": COLOUR, "default": "RED"}),), "is not in use"),
    "enum-symbol-added": Edit(
        (add({"name": "colour", "type": COLOUR, "default": "RED"}), symbols("RED", "GREEN", "BLUE")), "not in use"
    ),
    "enum-symbol-removed": Edit(
        (add({"name": "colour", "type": COLOUR, "default": "RED"}), symbols("RED")), "is not in use"
    ),
    "deprecated": Edit((last(deprecated="Read charge_id."),)),
    "two-fields-of-one-name": Edit((add({**NOTE, "name": "total"}),), "already in use"),
    "name-that-is-none": Edit((add({**NOTE, "name": "a-note"}),), "a-note"),
}

# Where the gate is stricter than a registry; docs/contracts.md says why.
REGISTRY_LETS_PASS: Final = frozenset(
    {"uuid-to-string", "string-to-uuid", "enum-added", "default-of-the-second-branch"}
)
