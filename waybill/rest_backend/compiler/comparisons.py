"""One lookup as a comparison: of a column with values as the service has them, or with what a subquery finds."""

from collections.abc import Iterable
from typing import Any, Final, cast

from django.db import NotSupportedError
from django.db.models import Model, QuerySet
from django.db.models.expressions import Col, ColPairs, Value
from django.db.models.fields.json import JSONField
from django.db.models.sql import Query

from waybill.rest.filters import LOOKUPS, NOTHING, Compare, Filter, all_of, any_of, negated
from waybill.rest_backend.local import as_q
from waybill.rest_backend.operations import as_json

TEXTS: Final = frozenset({"iexact", "contains", "icontains", "startswith", "istartswith"})


def compared(lookup: Any, connection: Any) -> Filter:
    """Return the comparison. Raises NotSupportedError naming what no service is asked for."""
    lhs, rhs, name = lookup.lhs, lookup.rhs, lookup.lookup_name
    if name == "isnull" and not isinstance(rhs, bool):
        raise ValueError("The QuerySet value for an isnull lookup must be True or False.")
    if isinstance(lhs, ColPairs) and name == "isnull":
        names = [str(column.target.column) for column in lhs.get_cols()]
        missing = any_of(Compare(one, "isnull", True) for one in names)  # noqa: FBT003 - a value
        return missing if rhs else negated(missing)
    if isinstance(lhs, ColPairs) and name in ("exact", "in"):
        return _paired(lhs, [rhs] if name == "exact" else rhs, connection)
    rhs = rhs.value if isinstance(rhs, Value) else rhs
    if not isinstance(lhs, Col):
        raise NotSupportedError(f"{named(lhs)} in a filter is not supported by services: {_path(lhs)}__{name}")
    field, path = lhs.target, f"{lhs.target.name}__{name}"
    if name not in LOOKUPS or (isinstance(field, JSONField) and name != "isnull"):
        raise NotSupportedError(f"the lookup {path} is not supported by services; there are {', '.join(LOOKUPS)}")
    if isinstance(rhs, Query | QuerySet):
        return among(lhs.target, _of_subquery(rhs, path, connection), connection)
    if hasattr(rhs, "resolve_expression"):
        raise NotSupportedError(f"{named(rhs)} as the value of {path} is not supported by services")
    return _with_values(name, field, rhs, path, connection)


def _paired(pairs: Any, rows: Any, connection: Any) -> Filter:
    """Return that several columns have the values of one of the rows; a key of one column is asked for as such."""
    found = pairs.get_cols()
    if hasattr(rows, "resolve_expression"):
        raise NotSupportedError("a subquery of several columns is not supported by services")
    if len(found) == 1:
        return among(found[0].target, (row[0] for row in rows), connection)
    return any_of(all_of(_equal(*one, connection) for one in zip(found, row, strict=True)) for row in rows)


def _equal(column: Any, value: Any, connection: Any) -> Filter:
    return Compare(column.target.column, "exact", ready(column.target, value, connection))


def _with_values(name: str, field: Any, rhs: Any, path: str, connection: Any) -> Filter:
    column = field.column
    if name == "isnull":
        return Compare(column, name, rhs)
    if name in TEXTS:
        return Compare(column, name, str(rhs))
    if name not in ("in", "range"):
        return Compare(column, name, ready(field, rhs, connection))
    given = list(rhs)
    if any(hasattr(value, "resolve_expression") for value in given):
        raise NotSupportedError(f"an expression as a value of {path} is not supported by services")
    if name == "range":
        return Compare(column, name, tuple(ready(field, value, connection) for value in given))
    found = tuple(dict.fromkeys(ready(field, value, connection) for value in given if value is not None))
    return Compare(column, name, found) if found else NOTHING


def _of_subquery(rhs: Any, path: str, connection: Any) -> list[Any]:
    """Return the values that a subquery of its own has, wherever its model lives."""
    home = getattr(rhs, "_db", None)  # by using()
    query = (rhs.query if isinstance(rhs, QuerySet) else rhs).chain()
    if len(query.select) > 1 or query.annotation_select:
        raise NotSupportedError(f"the subquery of {path} is not supported by services")
    if not query.select:
        query.add_fields([query.get_meta().pk.name])
    if not query.is_sliced:
        query.clear_ordering(force=True)
        query.set_limits(high=connection.max_ids + 1)
    compiler = query.get_compiler(home or connection.home_of(query.model))
    rows = compiler.results_iter(tuple_expected=True)
    return bounded((row[0] for row in rows), connection, cast("type[Model]", query.model))


def among(field: Any, values: Iterable[Any], connection: Any) -> Filter:
    """Return that a field has one of these values."""
    found = tuple(ready(field, value, connection) for value in values)
    return Compare(field.column, "in", found) if found else NOTHING


def ready(field: Any, value: Any, connection: Any) -> Any:
    """Return a value of a field as the service has it."""
    return as_json(field.get_db_prep_value(value, connection, prepared=True))


def related_values(field: Any, where: Filter, connection: Any) -> list[Any]:
    """Return a field's values in the rows that match, from wherever its model lives. Raises NotSupportedError."""
    model: type[Model] = field.model
    rows = model._base_manager.using(connection.home_of(model)).filter(as_q(where, model))  # noqa: SLF001 - documented
    values = rows.order_by().values_list(field.attname, flat=True)[: connection.max_ids + 1]
    return bounded(values, connection, model)


def bounded(values: Iterable[Any], connection: Any, model: type[Model]) -> list[Any]:
    """Return distinct values, without null; raises where there are more than a filter may name."""
    most, found = connection.max_ids, list(values)
    if len(found) > most:
        raise NotSupportedError(
            f"the filter across services matches more than {most} rows of {model.__name__}: filter {model.__name__} "
            "itself further, or raise OPTIONS['max_ids']"
        )
    return [value for value in dict.fromkeys(found) if value is not None]


def columns(expression: Any) -> Iterable[Col]:
    """Yield the columns that an expression is made of."""
    if isinstance(expression, Col):
        yield expression
    elif hasattr(expression, "get_source_expressions"):
        for one in expression.get_source_expressions():
            yield from columns(one)


def named(node: Any) -> str:
    """Return what an error calls a part of a query."""
    return f"{type(node).__name__}()" if not isinstance(node, type) else node.__name__


def _path(expression: Any) -> str:
    column = next(iter(columns(expression)), None)
    names = [column.target.name] if column is not None else []
    return "__".join([*names, getattr(expression, "lookup_name", None) or type(expression).__name__])
