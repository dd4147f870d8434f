"""The filter of a collection: a tree of comparisons, and how it stands in a URL (docs/collection-contract.md).

Logic has two values: a comparison with a field that is null is false, and `Not` of it is true. So what Django's
`exclude()` means is what a service answers, whatever its database makes of NULL.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

LOOKUPS: Final = (
    "exact", "iexact", "in", "lt", "lte", "gt", "gte", "range", "isnull",
    "contains", "icontains", "startswith", "istartswith",
)  # fmt: skip
LISTS: Final = ("in", "range")
MOST_VALUES: Final = 200  # of one `in`
MOST_DEPTH: Final = 8  # of a tree: what a stack of calls and a planner bear
MOST_PARTS: Final = 100  # comparisons of a filter
EXPECTED: Final = "expected one of all, any, not; or field, lookup and value"


@dataclass(frozen=True, slots=True)
class Compare:
    """One field held against a value; of `in` and `range` the value is a tuple."""

    field: str
    lookup: str
    value: Any


@dataclass(frozen=True, slots=True)
class AllOf:
    """True where each part is; without parts, everywhere."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True where some part is; without parts, nowhere."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """True where the part is not."""

    part: "Filter"


Filter = Compare | AllOf | AnyOf | Not
EVERYTHING: Final = AllOf(())
NOTHING: Final = AnyOf(())


class Malformed(ValueError):
    """A filter that cannot be read: `field` says which part of it, the text why."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


def all_of(parts: Iterable[Filter]) -> Filter:
    """Return the conjunction, as small as it can be said."""
    kept: list[Filter] = []
    for part in parts:
        if part == NOTHING:
            return NOTHING
        kept += part.parts if isinstance(part, AllOf) else [part]
    return kept[0] if len(kept) == 1 else AllOf(tuple(kept))


def any_of(parts: Iterable[Filter]) -> Filter:
    """Return the disjunction, as small as it can be said."""
    kept: list[Filter] = []
    for part in parts:
        if part == EVERYTHING:
            return EVERYTHING
        kept += part.parts if isinstance(part, AnyOf) else [part]
    return kept[0] if len(kept) == 1 else AnyOf(tuple(kept))


def negated(part: Filter) -> Filter:
    """Return the negation, as small as it can be said."""
    match part:
        case AllOf(()):
            return NOTHING
        case AnyOf(()):
            return EVERYTHING
        case Not(inner):
            return inner
        case AllOf() | AnyOf() | Compare():
            return Not(part)


def comparisons(tree: Filter) -> Iterator[Compare]:
    """Yield every comparison of a filter."""
    match tree:
        case Compare():
            yield tree
        case Not(part):
            yield from comparisons(part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from comparisons(part)


def true_of_nulls(tree: Filter) -> bool:
    """Tell whether a filter is true of a row whose every field is null: what an outer join makes of a missing row."""
    match tree:
        case Compare(lookup=lookup, value=value):
            return lookup == "isnull" and value is True
        case Not(part):
            return not true_of_nulls(part)
        case AllOf(parts):
            return all(map(true_of_nulls, parts))
        case AnyOf(parts):
            return any(map(true_of_nulls, parts))


def as_parameters(tree: Filter) -> list[tuple[str, str]]:
    """Return the query's parameters: `field__lookup=value` where all of them must hold, else `filter` in JSON."""
    if tree == EVERYTHING:
        return []
    parts = tree.parts if isinstance(tree, AllOf) else (tree,)
    plain = [part for part in parts if isinstance(part, Compare) and _is_plain(part)]
    rest = all_of(part for part in parts if part not in plain)
    parameters = [(f"{part.field}__{part.lookup}", _as_text(part.value)) for part in plain]
    if rest != EVERYTHING:
        parameters.append(("filter", json.dumps(as_json(rest), separators=(",", ":"), ensure_ascii=False)))
    return parameters


def _is_plain(part: Compare) -> bool:
    """Tell whether the value is the same again once it was a text between commas."""
    values = part.value if part.lookup in LISTS else (part.value,)
    texts = [value for value in values if isinstance(value, str)]
    if part.lookup in LISTS and any("," in text or not text for text in texts):
        return False
    return all(isinstance(value, str | int | float) for value in values)


def _as_text(value: Any) -> str:
    match value:
        case tuple():
            return ",".join(map(_as_text, cast("tuple[Any, ...]", value)))
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def as_json(tree: Filter) -> dict[str, Any]:
    """Return the filter as JSON has it."""
    match tree:
        case Compare(field, lookup, value):
            return {"field": field, "lookup": lookup, "value": value}
        case AllOf(parts):
            return {"all": [as_json(part) for part in parts]}
        case AnyOf(parts):
            return {"any": [as_json(part) for part in parts]}
        case Not(part):
            return {"not": as_json(part)}


def from_parameters(parameters: Iterable[tuple[str, str]], fields: Sequence[str]) -> Filter:
    """Read a query's parameters; each must be `filter`, a field, or a field with a lookup. Raises Malformed."""
    parts: list[Filter] = []
    for name, text in parameters:
        if name == "filter":
            parts.append(from_text(text, fields))
            continue
        field, lookup = _split(name, fields)
        value = tuple(text.split(",")) if lookup in LISTS else text
        parts.append(_checked(Compare(field, lookup, value), name))
    # What is wrong beside a part that holds nowhere is still to be named.
    whole = AllOf(tuple(parts)) if NOTHING in parts and len(parts) > 1 else all_of(parts)
    if sum(1 for _ in comparisons(whole)) > MOST_PARTS:
        raise Malformed("filter", f"more than {MOST_PARTS} comparisons")
    return whole


def _split(name: str, fields: Sequence[str]) -> tuple[str, str]:
    field, separator, lookup = name.rpartition("__")
    if separator and field in fields:
        return field, _known(lookup, name)
    if name in fields:
        return name, "exact"
    raise Malformed(name, "no such parameter, and no such field of this collection")


def _known(lookup: str, where: str) -> str:
    if lookup not in LOOKUPS:
        raise Malformed(where, f"{lookup!r} is no lookup; there are {', '.join(LOOKUPS)}")
    return lookup


def from_text(text: str, fields: Sequence[str]) -> Filter:
    """Read the JSON of a `filter`. Raises Malformed."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed("filter", "not JSON") from None
    return _read(given, fields, "filter", MOST_DEPTH)


def _read(given: Any, fields: Sequence[str], where: str, depth: int) -> Filter:
    if depth == 0:
        raise Malformed("filter", f"more than {MOST_DEPTH} levels deep")
    if not isinstance(given, dict):
        raise Malformed(where, EXPECTED)
    match cast("dict[str, Any]", given):
        case {"all": [*parts], **others} if not others:
            return all_of(_read_each(parts, fields, f"{where}.all", depth))
        case {"any": [*parts], **others} if not others:
            return any_of(_read_each(parts, fields, f"{where}.any", depth))
        case {"not": part, **others} if not others:
            return negated(_read(part, fields, f"{where}.not", depth - 1))
        case {"field": str(field), "lookup": str(lookup), "value": value, **others} if not others:
            if field not in fields:
                raise Malformed(field, "no such field of this collection")
            return _checked(Compare(field, _known(lookup, field), _tuple(value)), field)
        case _:
            raise Malformed(where, EXPECTED)


def _read_each(parts: list[Any], fields: Sequence[str], where: str, depth: int) -> Iterator[Filter]:
    return (_read(part, fields, f"{where}[{index}]", depth - 1) for index, part in enumerate(parts))


def _tuple(value: Any) -> Any:
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value


def _checked(compare: Compare, where: str) -> Filter:
    """Return the comparison where its value has the form that the lookup needs."""
    match compare:
        case Compare(lookup="in", value=tuple()):
            if (given := len(compare.value)) > MOST_VALUES:
                raise Malformed(where, f"{given} values; {MOST_VALUES} at most")
            return compare if given else NOTHING
        case Compare(lookup="range", value=(_, _)):
            return compare
        case Compare(lookup="in" | "range"):
            raise Malformed(where, "expected a list" if compare.lookup == "in" else "expected two values")
        case Compare(field, "isnull", True | False | "true" | "false" as value):
            return Compare(field, "isnull", value in (True, "true"))
        case Compare(lookup="isnull"):
            raise Malformed(where, "expected true or false")
        case Compare(value=None | tuple() | dict()):
            raise Malformed(where, "expected one value; null is asked for with isnull")
        case Compare():
            return compare
