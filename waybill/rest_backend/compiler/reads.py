"""Reads: a query becomes one request, where a service can answer it, or is refused before any call."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, cast

from django.core.exceptions import EmptyResultSet
from django.db import NotSupportedError
from django.db.models import Count as CountExpression
from django.db.models.expressions import Col, OrderBy, RawSQL, Ref, Star
from django.db.models.sql import compiler as django
from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE, MULTI, SINGLE

from waybill.rest.filters import NOTHING, Filter
from waybill.rest_backend.compiler.computed import computed
from waybill.rest_backend.compiler.conditions import Conditions
from waybill.rest_backend.compiler.joins import Joined, Wanted, split
from waybill.rest_backend.request import Count, Sort


class SQLCompiler(django.SQLCompiler):
    """Reads."""

    connection: Any  # this backend's
    elide_empty: bool
    query: Any  # of whatever kind; the stubs leave out what Django's compilers read of it

    def execute_sql(  # pyright: ignore[reportIncompatibleMethodOverride] - overloads in the stubs
        self, result_type: str = MULTI, chunked_fetch: bool = False, chunk_size: int = GET_ITERATOR_CHUNK_SIZE
    ) -> Any:
        """Return rows as Django's compilers do: lists of rows for MULTI, one row for SINGLE."""
        try:
            rows = computed(self) or (self._counted() if self._is_count() else self._rows(streamed=chunked_fetch))
            if result_type == SINGLE:
                return next(rows, None)
            if result_type == MULTI:
                return _chunks(rows, chunk_size) if chunked_fetch else [list(rows)]
        except EmptyResultSet:
            return iter([]) if result_type == MULTI else None
        raise NotSupportedError(f"{result_type} is not supported for a read")

    def has_results(self) -> bool:
        """Tell whether there is a row; for `exists()`."""
        self.query.clear_select_clause()
        self.query.add_fields([self.query.get_meta().pk.name])
        return self.execute_sql(SINGLE) is not None

    def explain_query(self) -> Any:
        """Raise: there is no plan to explain."""
        return self.connection.ops.explain_query_prefix()

    def as_sql(self, with_limits: bool = True, with_col_aliases: bool = False) -> Any:
        """Raise: there is no SQL; what asks for it wants a query within another one."""
        raise NotSupportedError("a query to a service has no SQL, which a subquery and str(query) would need")

    def compile(self, node: Any) -> Any:
        """Return what Django tells one column of a result or of its sort from another by."""
        if isinstance(node, Col | OrderBy | Ref | RawSQL):
            return super().compile(node)
        raise NotSupportedError(f"ordering by {node}, or a result of it, is not supported by services")

    # What no service is asked for.

    def _refuse(self) -> None:
        query = self.query
        refused = {
            f"{query.combinator}()": query.combinator,
            "distinct(fields)": query.distinct_fields,
            "select_for_update()": query.select_for_update,
            "extra(where, tables, order_by)": query.extra_tables or query.extra_order_by,
            "extra(select)": [name for name in query.extra if not name.startswith("_prefetch_related_val_")],
            f"annotate({', '.join(query.annotation_select)})": query.annotation_select,
            "order_by('?')": "?" in query.order_by,
        }
        for what, used in refused.items():
            if used:
                raise NotSupportedError(f"{what} is not supported by services")

    def _is_count(self) -> bool:
        annotations = self.query.annotation_select
        return len(annotations) == 1 and _is_count_star(next(iter(annotations.values()))) and not self.query.select

    # Rows.

    def _counted(self) -> Iterator[tuple[int]]:
        query = self.query.clone()
        query.annotations = {}
        query.set_annotation_mask(None)
        return iter([(query.get_compiler(self.using).count(),)])

    def count(self) -> int:
        """Return how many rows the query has, its slice and the repetitions of its joins included."""
        self._refuse()
        query = self.query
        if query.distinct and not self.has_key():
            return sum(1 for _ in self._rows())
        low, high = query.low_mark, query.high_mark
        conditions, where = self._where()
        if conditions.many:
            query.clear_select_clause()
            query.add_fields([query.get_meta().pk.name])
            return sum(1 for _ in self._rows())
        parts = split(where) if where != NOTHING else []
        found = sum(self.connection.adapter.count(Count(self._resource(), one)) for one in parts)
        return max(0, (found if high is None else min(found, high)) - low)

    def _rows(self, *, streamed: bool = False) -> Iterator[tuple[Any, ...]]:
        self._refuse()
        before = self.query.alias_refcount.copy()
        try:
            self.setup_query()
            if self.query.is_empty():
                return iter(())
            ordered = [expression for expression, _ in self.get_order_by()]
            conditions, where = self._where()
            if where == NOTHING:
                return iter(())
            wanted = Wanted(self, conditions, where, self._sort(ordered))
        finally:
            self.query.reset_refcounts(before)  # joins of the sort alone are not the next queryset's
        return self._sliced(wanted, wanted.joined(streamed=streamed))

    def _sliced(self, wanted: Wanted, rows: Iterator[Joined]) -> Iterator[tuple[Any, ...]]:
        found = wanted.values(rows, [expression for expression, *_ in self.select])
        if wanted.pushed_down:
            return found
        if self.query.distinct and not self.has_key():
            selected = {wanted.place(expression) for expression, *_ in self.select}
            if any((wanted.base, one.field) not in selected for one in wanted.sort if one.field != wanted.key):
                raise NotSupportedError("distinct() in the order of what is not selected is not supported by services")
            found = iter(dict.fromkeys(found))
        return islice(found, self.query.low_mark, self.query.high_mark)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Return the rows as the service has them; may block."""
        return self._rows()

    def _where(self) -> tuple[Conditions, Filter]:
        conditions = Conditions(self.query, self.connection)
        return conditions, conditions.of(self.query.where)

    def has_key(self) -> bool:
        """Tell whether no two rows of the result can be equal."""
        query = self.query
        key = query.get_meta().pk
        base = query.get_initial_alias()
        return query.default_cols or any(
            isinstance(one, Col) and one.target == key and one.alias == base for one in query.select
        )

    def _sort(self, ordered: Sequence[Any]) -> tuple[Sort, ...]:
        """Return the order by columns, with the key last, so that no two rows are equal in it."""
        base = self.query.get_initial_alias()
        found: dict[str, Sort] = {}
        for one in ordered:
            expression: Any = one.expression
            if isinstance(expression, Ref):
                expression = cast("Any", expression).source
            if not isinstance(expression, Col):
                raise NotSupportedError(f"ordering by {expression} is not supported by services")
            column = self._path(expression, base)
            if (one.nulls_first is (not one.descending) and one.nulls_first) or (one.nulls_last and one.descending):
                raise NotSupportedError("null comes last, and first in falling sort; another place is not supported")
            found.setdefault(column, Sort(column, bool(one.descending)))
        key = self.query.get_meta().pk.column
        if found and key not in found:
            found[key] = Sort(key)
        return tuple(found.values())

    def _path(self, expression: Col, base: str) -> str:
        """Return what a service knows a column by; of a related row, where it takes paths, by the relations to it."""
        names = [str(expression.target.column)]
        alias = str(expression.alias)
        conditions = Conditions(self.query, self.connection)
        while alias != base:
            join = self.query.alias_map[alias]
            rhs = conditions.join_of(alias)[1]
            here = self.connection.home_of(rhs.model) == self.connection.alias
            if not (self.connection.paths and here and rhs.unique):
                raise NotSupportedError(
                    f"ordering by {join.table_name}.{names[-1]}, of a related row, is not supported by this service"
                )
            names.insert(0, join.join_field.name)
            alias = join.parent_alias
        return "__".join(names)

    def _resource(self) -> Any:
        return self.connection.resource(self.query.get_meta())


def _chunks(rows: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while chunk := list(islice(rows, size)):
        yield chunk


def _is_count_star(expression: Any) -> bool:
    if not isinstance(expression, CountExpression):
        return False
    counted = cast("Any", expression)
    return not (counted.distinct or counted.filter) and isinstance(counted.get_source_expressions()[0], Star)


class SQLAggregateCompiler(SQLCompiler):
    """A count of a query that is sliced or distinct."""

    def execute_sql(self, result_type: str = SINGLE, chunked_fetch: bool = False, chunk_size: int = 100) -> Any:
        """Return the one row with the count."""
        annotations = self.query.annotation_select
        if len(annotations) != 1 or not _is_count_star(next(iter(annotations.values()))):
            raise NotSupportedError(f"aggregate({', '.join(annotations)}) is not supported by services")
        inner = self.query.inner_query.get_compiler(self.using, elide_empty=self.elide_empty)
        return (inner.count(),)
