"""What an OpenAPI document says of a collection that is read (docs/reference/collection-contract.openapi.yaml)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import models

from waybill.rest.collections.asked import MOST_OFFSET, MOST_ROWS, MOST_SORT, USUAL_ROWS
from waybill.rest.collections.collection import Collection
from waybill.rest.filters import LISTS, LOOKUPS, MOST_DEPTH, MOST_PARTS, MOST_VALUES

LONGEST_KEY: Final = 255
FILTER: Final = "CollectionFilter"
TYPES: Final[Mapping[type[Any], Mapping[str, str]]] = {
    models.UUIDField: {"type": "string", "format": "uuid"},
    models.BooleanField: {"type": "boolean"},
    models.IntegerField: {"type": "integer"},
    models.FloatField: {"type": "number"},
    models.DateTimeField: {"type": "string", "format": "date-time"},
    models.DateField: {"type": "string", "format": "date"},
    models.TimeField: {"type": "string", "format": "time"},
    models.DurationField: {"type": "string", "format": "duration"},
    models.BinaryField: {"type": "string", "contentEncoding": "base64"},
    models.JSONField: {},
}
OTHER: Final[Mapping[str, str]] = {"type": "string"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, in the document's own words."""

    name: str
    summary: str
    description: str
    parameters: list[dict[str, Any]]
    answers: dict[str, dict[str, Any]]
    schemas: dict[str, Mapping[str, Any]]


def page(collection: Collection) -> Operation:
    """Return what is said of the collection's list."""
    name, item = collection.name, _title(collection)
    filters = "; ".join(f"`{field}` by {', '.join(lookups)}" for field, lookups in collection.lookups.items())
    return Operation(
        name=f"collection_of_{name}",
        summary=f"Filter, sort, page and count {name}, by the collection contract.",
        description=f"A page of the {name} that the caller may see. Filters: {filters}. "
        f"Sorted by {', '.join(f'`{one}`' for one in collection.sorted_by)}.",
        parameters=[*_comparisons(collection), *_of_a_list(collection), _fields(collection)],
        answers={"200": _json("The page.", f"{item}Page")},
        schemas={
            item: _item(collection),
            f"{item}Page": _page(item),
            FILTER: _filter(),
        },
    )


def item(collection: Collection) -> Operation:
    """Return what is said of one row."""
    name = collection.name
    return Operation(
        name=f"item_of_{name}",
        summary=f"Read one row of the collection of {name}.",
        description="The row, with its version as the ETag; 404 where the caller sees no such row.",
        parameters=[_fields(collection)],
        answers={"200": _json("The row.", _title(collection))},
        schemas={_title(collection): _item(collection)},
    )


def _title(collection: Collection) -> str:
    return f"{collection.name.title().replace('_', '')}Item"


def _json(description: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}


def _schema(field: Any) -> dict[str, Any]:
    kind = field.target_field if field.is_relation else field
    return dict(next((said for type_, said in TYPES.items() if isinstance(kind, type_)), OTHER))


def _member(field: Any) -> dict[str, Any]:
    said = _schema(field)
    if field.null and "type" in said:
        said["type"] = [said["type"], "null"]
    return said


def _item(collection: Collection) -> Mapping[str, Any]:
    version = {"type": "string", "description": "A tag of the row's state; the ETag without its quotes."}
    return {
        "type": "object",
        "title": _title(collection),
        "description": "Members that a client does not know are to be passed over. `fields` leaves members out.",
        "required": [collection.key, "_version"],
        "properties": {name: _member(field) for name, field in collection.fields.items()} | {"_version": version},
    }


def _page(item: str) -> Mapping[str, Any]:
    items = {"type": "array", "maxItems": MOST_ROWS, "items": {"$ref": f"#/components/schemas/{item}"}}
    following = {"type": ["string", "null"], "description": "Where the next page is; null behind the last one."}
    count = {"type": "integer", "minimum": 0, "description": "How many rows match; where it was asked for."}
    return {
        "type": "object",
        "title": f"{item}Page",
        "required": ["items", "next"],
        "properties": {"items": items, "next": following, "count": count},
    }


def _filter() -> Mapping[str, Any]:
    itself = {"$ref": f"#/components/schemas/{FILTER}"}
    compared = {
        "field": {"type": "string"},
        "lookup": {"type": "string", "enum": list(LOOKUPS)},
        "value": {"description": "A value of the field; a list for `in` and `range`."},
    }
    shapes: list[dict[str, Any]] = [
        {"all": {"type": "array", "items": itself}},
        {"any": {"type": "array", "items": itself}},
        {"not": itself},
        compared,
    ]
    return {
        "title": FILTER,
        "description": f"A tree of comparisons; {MOST_DEPTH} levels, {MOST_PARTS} comparisons, {MOST_VALUES} values of "
        "one `in`.",
        "oneOf": [
            {"type": "object", "required": list(one), "properties": one, "additionalProperties": False}
            for one in shapes
        ],
    }


def _comparisons(collection: Collection) -> list[dict[str, Any]]:
    """Return a parameter for each lookup of each field that is filtered by."""
    found: list[dict[str, Any]] = []
    for name, lookups in collection.lookups.items():
        schema = _schema(collection.fields[name])
        for lookup in lookups:
            said = f"Only rows whose `{name}` holds by `{lookup}`."
            if lookup in LISTS:
                several = {"type": "array", "minItems": 1, "maxItems": MOST_VALUES, "items": schema}
                if lookup == "range":
                    several |= {"minItems": 2, "maxItems": 2}
                found.append(_parameter(f"{name}__{lookup}", several, said, style="form", explode=False))
            else:
                compared = {"type": "boolean"} if lookup == "isnull" else schema
                found.append(_parameter(name if lookup == "exact" else f"{name}__{lookup}", compared, said))
    return found


def _of_a_list(collection: Collection) -> list[dict[str, Any]]:
    sorts = "|".join(collection.sorted_by)
    sorting = {"type": "string", "pattern": f"^(-?({sorts})(,-?({sorts})){{0,{MOST_SORT - 1}}})?$"}
    tree = {"application/json": {"schema": {"$ref": f"#/components/schemas/{FILTER}"}}}
    return [
        {"in": "query", "name": "filter", "description": "A tree in JSON; it must hold too.", "content": tree},
        _parameter("sort", sorting, "Fields between commas, `-` before a falling one; the key comes last by itself."),
        _parameter("limit", _number(MOST_ROWS, USUAL_ROWS), "Rows of the page."),
        _parameter("offset", _number(MOST_OFFSET, 0), "Rows passed over; not with a cursor."),
        _parameter("cursor", {"type": "string"}, "From `next`, not to be made by clients."),
        _parameter("count", {"type": "boolean", "default": False}, "Whether to count what matches."),
    ]


def _fields(collection: Collection) -> dict[str, Any]:
    names = {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(collection.fields)}}
    said = "The fields that rows are to have; the key and `_version` always come."
    return _parameter("fields", names, said, style="form", explode=False)


def _number(most: int, usual: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, "maximum": most, "default": usual}


def _parameter(name: str, schema: Mapping[str, Any], description: str, **style: Any) -> dict[str, Any]:
    return {"in": "query", "name": name, "required": False, "description": description, "schema": schema, **style}
