"""How two answers differ: pure, bounded, and structural where both are JSON.

A difference names a place: `status`, `header content-type`, `$.items[*].name` within a JSON body, `body` where one of
the two is no JSON, and `answer` where there is none to compare. Numbers are compared by value (`1` is `1.0`, and no
decimal is rounded), objects without regard to the sequence of their fields, arrays element by element.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, cast

from waybill.shadow.json_paths import Path, Pattern, Step, covers, rendered

MOST_DIFFERENCES: Final = 50  # of one answer: who differs in more differs in everything

Kind = Literal["value", "type", "missing", "extra", "length"]
Missing = Literal["unreachable", "timed_out", "broken_off", "too_large", "not_decoded"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is compared of an answer; its body without content coding."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where the candidate answered otherwise."""

    field: str
    kind: Kind
    control: Any
    candidate: Any
    names: frozenset[str] = frozenset()
    """Names of the fields on the way to the place, which say whether it is personal."""


class _NoJson:
    """What a body is that is not JSON."""


_NO_JSON: Final = _NoJson()


def differences(control: Answer, other: Answer | Missing, ignored: Collection[Pattern]) -> list[Difference]:
    """Return how the other answer differs from the control's, MOST_DIFFERENCES at most; one for each field."""
    if not isinstance(other, Answer):
        return [Difference("answer", "missing", control.status, other)]
    found: dict[str, Difference] = {}
    for one in _differing(control, other, ignored):
        found.setdefault(one.field, one)
        if len(found) == MOST_DIFFERENCES:
            break
    return list(found.values())


def _differing(control: Answer, other: Answer, ignored: Collection[Pattern]) -> Iterator[Difference]:
    if control.status != other.status:
        yield Difference("status", "value", control.status, other.status)
    for name in sorted(control.headers.keys() | other.headers.keys()):
        pair = control.headers.get(name), other.headers.get(name)
        if pair[0] != pair[1]:
            kind = "missing" if pair[1] is None else "extra" if pair[0] is None else "value"
            yield Difference(f"header {name}", kind, *pair, frozenset({name.replace("-", "_")}))
    if control.body == other.body:
        return
    one, another = _json(control.body), _json(other.body)
    if one is _NO_JSON or another is _NO_JSON:
        kind = "value" if one is another else "type"
        yield Difference("body", kind, _said(one, control.body), _said(another, other.body))
        return
    for path, kind, before, after in _walked(one, another):
        if not any(covers(pattern, path) for pattern in ignored):
            names = frozenset(step for step in path if isinstance(step, str))
            yield Difference(rendered(path), kind, before, after, names)


def _said(value: Any, body: bytes) -> str:
    return f"{'no JSON' if value is _NO_JSON else 'JSON'}, {len(body)} bytes"


def _json(body: bytes) -> Any:
    """Return the value of a JSON body, `_NO_JSON` of any other; a hostile one costs no more than its bytes."""
    try:
        return json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError, ArithmeticError):
        return _NO_JSON


def _walked(control: Any, candidate: Any) -> Iterator[tuple[Path, Kind, Any, Any]]:
    """Yield what differs between two JSON values; with a stack of its own, since a document may be deep."""
    waiting: list[tuple[Path, Any, Any]] = [((), control, candidate)]
    while waiting:
        path, one, other = waiting.pop()
        if kind_of(one) != kind_of(other):
            yield path, "type", one, other
        elif isinstance(one, dict):
            yield from _fields(path, cast("dict[str, Any]", one), cast("dict[str, Any]", other), waiting)
        elif isinstance(one, list):
            ours, theirs = cast("list[Any]", one), cast("list[Any]", other)
            if len(ours) != len(theirs):
                yield path, "length", len(ours), len(theirs)
            below: Path = (*path, Step.ELEMENT)
            waiting += [(below, *pair) for pair in zip(ours, theirs, strict=False)]
        elif one != other:
            yield path, "value", one, other


def _fields(
    path: Path, one: Mapping[str, Any], other: Mapping[str, Any], waiting: list[tuple[Path, Any, Any]]
) -> Iterator[tuple[Path, Kind, Any, Any]]:
    for name in one.keys() | other.keys():
        if name not in other:
            yield (*path, name), "missing", one[name], None
        elif name not in one:
            yield (*path, name), "extra", None, other[name]
        else:
            waiting.append(((*path, name), one[name], other[name]))


def kind_of(value: Any) -> str:
    """Return JSON's name for what a value is."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float() | Decimal():
            return "number"
        case str():
            return "text"
        case list():
            return "array"
        case _:
            return "object"


def is_below(field: str, noise: Collection[str]) -> bool:
    """Tell whether a place is among those of the noise, or within one of them.

    Where the controls' own statuses or whole bodies differ, nothing of an answer can be compared.
    """
    if "status" in noise or "body" in noise:
        return True
    return any(field == one or (field.startswith(one) and field[len(one)] in ".[") for one in noise)
