"""What is computed here of rows that a service gives: its dates, its least and its greatest value.

`dates()` and `datetimes()` read the column's values, at most `max_rows` of them; Min and Max are a row of one sort. The
admin's `date_hierarchy` asks for these and for nothing else.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

from django.conf import settings
from django.db.models import Max, Min, Q
from django.db.models.expressions import Col
from django.db.models.functions.datetime import TruncBase
from django.utils import timezone

from waybill.rest_backend.operations import READERS

UNITS = ("year", "month", "day", "hour", "minute", "second", "microsecond")


def computed(compiler: Any) -> Iterator[tuple[Any, ...]] | None:
    """Return the rows of a query that has only such expressions; None for every other one."""
    query = compiler.query
    found = list(query.annotation_select.values())
    others = query.select or query.default_cols or query.group_by is not None
    if others or not found or not all(_is_of_own_column(query, one) for one in found):
        return None
    if len(found) == 1 and isinstance(found[0], TruncBase) and query.distinct and _is_ordered_by_it(query):
        return _truncated(compiler, found[0])
    if all(isinstance(one, Min | Max) for one in found):
        return iter([tuple(_extreme(compiler, one) for one in found)])
    return None


def _is_of_own_column(query: Any, expression: Any) -> bool:
    column = next(iter(expression.get_source_expressions()), None)
    plain = isinstance(column, Col) and column.alias == query.get_initial_alias()
    return plain and not getattr(expression, "filter", None)


def _is_ordered_by_it(query: Any) -> bool:
    return not query.order_by or [str(one).lstrip("-") for one in query.order_by] == list(query.annotation_select)


def _truncated(compiler: Any, trunc: Any) -> Iterator[tuple[Any, ...]]:
    query, column = compiler.query, trunc.get_source_expressions()[0].target
    reader = READERS[column.get_internal_type()]
    rows = _plain(query, column).get_compiler(compiler.using).rows()
    values = {
        None if value is None else truncated(_local(reader(value), trunc.tzinfo), trunc.kind) for (value,) in rows
    }
    told = sorted(value.isoformat() for value in values if value is not None) + [None] * (None in values)
    if str(next(iter(query.order_by), "")).startswith("-"):
        told.reverse()
    compiler.select, compiler.klass_info, compiler.col_count = [(trunc, ("", ()), None)], None, 1  # for the converters
    return islice(((one,) for one in told), query.low_mark, query.high_mark)


def _extreme(compiler: Any, expression: Any) -> Any:
    column = expression.get_source_expressions()[0].target
    query = _plain(compiler.query, column)
    query.add_q(Q(**{f"{column.name}__isnull": False}))
    query.add_ordering(f"-{column.attname}" if isinstance(expression, Max) else column.attname)
    query.set_limits(high=1)
    return next((value for (value,) in query.get_compiler(compiler.using).rows()), None)


def _plain(query: Any, column: Any) -> Any:
    """Return the query of the column's values alone."""
    query = query.clone()
    query.annotations = {}
    query.set_annotation_mask(None)
    query.clear_ordering(force=True)
    query.clear_limits()
    query.distinct = False
    query.clear_select_clause()
    query.add_fields([column.attname])
    return query


def _local(value: date, zone: Any) -> date:
    if not isinstance(value, datetime):
        return value
    if settings.USE_TZ:
        return timezone.localtime(value, zone)
    return timezone.make_aware(value, timezone.get_default_timezone())


def truncated(value: date, kind: str) -> Any:
    """Return the beginning of the year, quarter, month, week, day, hour, minute or second."""
    unit = {"quarter": "month", "week": "day"}.get(kind, kind)
    lower = {name: 1 if name in UNITS[:3] else 0 for name in UNITS[UNITS.index(unit) + 1 :] if hasattr(value, name)}
    begun = value.replace(**lower)
    if kind == "week":
        return begun - timedelta(days=begun.weekday())
    return begun.replace(month=begun.month - (begun.month - 1) % 3) if kind == "quarter" else begun
