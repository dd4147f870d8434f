"""Reading: a filter becomes a Q, a cursor a condition, and a row the JSON that goes out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.core.exceptions import ValidationError
from django.db.models import F, Q

from waybill.rest.collections.asked import Asked, Sort
from waybill.rest.collections.values import from_json
from waybill.rest.filters import AllOf, AnyOf, Compare, Filter, Not
from waybill.rest.problem import not_valid


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client's name leads to: a path that Django's queries take, and the field at its end."""

    path: str
    field: Any
    nullable: bool


FieldOf = Callable[[str], Place]
TEXTS = frozenset({"iexact", "contains", "icontains", "startswith", "istartswith"})


def condition(tree: Filter, field_of: FieldOf) -> Q:
    """Return the filter as a Q. Raises a 422 where a value is not of its field's type."""
    match tree:
        case Compare():
            return _compared(tree, field_of(tree.field))
        case Not(part):
            return ~condition(part, field_of)
        case AllOf(parts):
            return _joined(parts, Q.AND, field_of) if parts else Q()
        case AnyOf(parts):
            return _joined(parts, Q.OR, field_of) if parts else Q(pk__in=[])


def _joined(parts: Sequence[Filter], connector: str, field_of: FieldOf) -> Q:
    return Q(*(condition(part, field_of) for part in parts), _connector=connector)


def _compared(compare: Compare, place: Place) -> Q:
    path = place.path
    if compare.lookup in TEXTS and place.field.is_relation:  # Django has these lookups of a column, and of no relation
        path = f"{place.field.name}__{place.field.target_field.attname}"
    return Q(**{f"{path}__{compare.lookup}": _value(compare, place.field)})


def _value(compare: Compare, field: Any) -> Any:
    name, lookup, value = compare.field, compare.lookup, compare.value
    if lookup == "isnull":
        return value
    if lookup in TEXTS:
        if not isinstance(value, str):
            raise not_valid(name, f"{lookup} expects a text")
        return value
    try:
        if isinstance(value, tuple):
            return [from_json(field, one) for one in cast("tuple[Any, ...]", value)]
        return from_json(field, value)
    except ValidationError as error:
        raise not_valid(name, error.messages[0]) from None


def ordering(sort: Sequence[Sort], field_of: FieldOf) -> list[Any]:
    """Return what `order_by` takes: nulls last, and first where it falls, on every database."""
    return [
        F(field_of(one.field).path).desc(nulls_first=True)
        if one.falling
        else F(field_of(one.field).path).asc(nulls_last=True)
        for one in sort
    ]


def behind(asked: Asked, field_of: FieldOf) -> Q:
    """Return the condition that a row comes behind the one that the cursor names."""
    if asked.after is None:
        return Q()
    found = Q(pk__in=[])
    for one, value in zip(reversed(asked.sort), reversed(asked.after), strict=True):
        found = _behind(one, value, found, field_of(one.field))
    return found


def _behind(one: Sort, value: Any, rest: Q, place: Place) -> Q:
    """Return: further on by this column, or at the same value of it and further on by those that follow."""
    name = place.path
    null = Q(**{f"{name}__isnull": True})
    if value is None:
        same = null & rest
        return same | ~null if one.falling else same
    parsed = _value(Compare(one.field, "exact", value), place.field)
    same = Q(**{name: parsed}) & rest
    if one.falling:
        return same | Q(**{f"{name}__lt": parsed})
    further = Q(**{f"{name}__gt": parsed})
    return same | further | null if place.nullable else same | further
