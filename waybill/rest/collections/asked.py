"""What a request for a list asks for, read and bounded."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from django.http import QueryDict

from waybill.deciders.outcomes import Code
from waybill.rest import filters
from waybill.rest.problem import Problem, not_valid

USUAL_ROWS: Final = 100
MOST_ROWS: Final = 1000
MOST_OFFSET: Final = 1_000_000
MOST_SORT: Final = 8
OWN: Final = frozenset({"sort", "limit", "offset", "cursor", "fields", "count"})
EQUAL: Final = ("exact", "in")
"""Lookups that any index of a field answers."""
ORDERED: Final = (*EQUAL, "lt", "lte", "gt", "gte", "range")
"""Lookups that a sorted index of the field answers."""


@dataclass(frozen=True, slots=True)
class Sort:
    """One column that rows are put in order by. Null comes last, and first where it falls."""

    field: str
    falling: bool = False

    def __str__(self) -> str:
        return f"-{self.field}" if self.falling else self.field


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a list."""

    where: filters.Filter
    sort: tuple[Sort, ...]
    fields: tuple[str, ...]
    limit: int
    offset: int
    after: tuple[Any, ...] | None
    """The values, one for each of `sort`, of the row that the page begins behind."""
    count: bool


@dataclass(frozen=True, slots=True)
class Names:
    """What a collection's clients may name."""

    fields: tuple[str, ...]
    key: str
    unique: tuple[str, ...]
    lookups: Mapping[str, Sequence[str]]
    """By field, those that it is filtered by."""
    sorts: tuple[str, ...]
    """Fields, and paths to fields of related rows, to order by."""


def read(query: QueryDict, names: Names) -> Asked:
    """Read a query's parameters; the sort always ends with a unique field. Raises a 422 that names the parameter."""
    fields = names.fields
    own = {name: values[-1] for name, values in query.lists() if name in OWN}
    rest = [(name, value) for name, values in query.lists() if name not in OWN for value in values]
    try:
        where = filters.from_parameters(rest, fields)
    except filters.Malformed as error:
        raise not_valid(error.field, str(error)) from None
    for one in filters.comparisons(where):
        _refuse_lookup(one, names.lookups)
    sort = _sort(own.get("sort", ""), names)
    cursor = own.get("cursor")
    if cursor is not None and "offset" in own:
        raise not_valid("cursor", "a cursor and an offset exclude each other")
    return Asked(
        where=where,
        sort=sort,
        fields=_fields(own.get("fields"), fields, names.key),
        limit=_number(own, "limit", USUAL_ROWS, MOST_ROWS),
        offset=_number(own, "offset", 0, MOST_OFFSET),
        after=None if cursor is None else _decoded(cursor, sort),
        count=_flag(own, "count"),
    )


def cursor_behind(row: Mapping[str, Any], sort: Sequence[Sort]) -> str:
    """Return the cursor of the page that begins behind a row, given with its values in JSON."""
    told = [_text(sort), *(row[one.field] for one in sort)]
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


def _decoded(cursor: str, sort: Sequence[Sort]) -> tuple[Any, ...]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    values = cast("list[Any]", told) if isinstance(told, list) else []
    if len(values) == len(sort) + 1 and values[0] == _text(sort):
        return tuple(values[1:])
    raise not_valid("cursor", "not a cursor of this list in this sort; start again without it")


def _text(sort: Sequence[Sort]) -> str:
    return ",".join(map(str, sort))


def _sort(text: str, names: Names) -> tuple[Sort, ...]:
    found: dict[str, Sort] = {}
    for name in filter(None, text.split(",")):
        field = name.removeprefix("-")
        if field not in names.sorts:
            offered = ", ".join(names.sorts)
            raise not_valid(
                "sort", f"{field!r} is no field that this collection can be ordered by; there are {offered}"
            )
        found.setdefault(field, Sort(field, name.startswith("-")))
    if len(found) > MOST_SORT:
        raise not_valid("sort", f"{len(found)} fields; {MOST_SORT} at most")
    if not found.keys() & {names.key, *names.unique}:
        found[names.key] = Sort(names.key)
    return tuple(found.values())


def _refuse_lookup(compare: filters.Compare, lookups: Mapping[str, Sequence[str]]) -> None:
    """Raise a 422 for a filter that the collection does not take: what it would read has no bound."""
    field, lookup = compare.field, compare.lookup
    if lookup not in lookups.get(field, ()):
        offered = "; ".join(f"{name} by {', '.join(taken)}" for name, taken in lookups.items())
        named = field if lookup == "exact" else f"{field}__{lookup}"
        raise not_valid(named, f"this collection is not filtered by it; it is by {offered}")


def _fields(text: str | None, fields: Sequence[str], key: str) -> tuple[str, ...]:
    if text is None:
        return tuple(fields)
    asked = text.split(",")
    if unknown := [name for name in asked if name not in fields]:
        raise not_valid("fields", f"{unknown[0]!r} is no field of this collection")
    return tuple(name for name in fields if name == key or name in asked)


def _number(own: Mapping[str, str], name: str, usual: int, most: int) -> int:
    text = own.get(name, str(usual))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and int(text) <= most):
        raise not_valid(name, f"expected a number from 0 to {most}")
    return int(text)


def _flag(own: Mapping[str, str], name: str) -> bool:
    text = own.get(name, "false")
    if text not in ("true", "false"):
        raise not_valid(name, "expected true or false")
    return text == "true"


def refuse_parameters(query: QueryDict, *, but: str | None = None) -> None:
    """Raise a 422 where a request has parameters that it does not take: nothing is passed over in silence."""
    for name in query:
        if name != but:
            raise not_valid(name, "no such parameter here")


def malformed(detail: str) -> Problem:
    """Return the answer to a body that is no JSON object."""
    return Problem(400, Code.MALFORMED_JSON, detail)
