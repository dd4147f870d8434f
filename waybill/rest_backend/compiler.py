"""Django's compilers: queries become requests of `request`, and rows come back in the columns that Django asked for.

A read has three steps, of which the second is all there is to most:

1. A join to many rows (`reviews__stars=5`, `tags__name="x"`, a prefetch through a table between): the other table's
   rows first, for the keys that they name.
2. The table's own rows: filter, sort and slice are the service's work.
3. Joins to one row (`select_related`, `values("author__name")`): the rows that these refer to, in one call for each
   table and page, by `key__in`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, cast

from django.core.exceptions import EmptyResultSet
from django.db import NotSupportedError, connections
from django.db.models import Count as CountExpression
from django.db.models import Model
from django.db.models.expressions import Col, DatabaseDefault, RawSQL, Ref, Star
from django.db.models.sql import compiler as django
from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE, MULTI, ROW_COUNT, SINGLE

from waybill.rest.filters import MOST_VALUES, NOTHING, AllOf, Compare, Filter, all_of
from waybill.rest_backend.conditions import Conditions, Many, as_q
from waybill.rest_backend.errors import StaleVersion, TooManyRows
from waybill.rest_backend.operations import as_json
from waybill.rest_backend.request import Count, Delete, Insert, Read, Row, Sort, Update

COLUMN: Final = re.compile(r'"(?P<table>[^"]+)"\."(?P<column>[^"]+)"')
Joined = Mapping[str, Mapping[str, Any] | None]  # alias → row


class SQLCompiler(django.SQLCompiler):
    """Reads."""

    def execute_sql(
        self, result_type: str = MULTI, chunked_fetch: bool = False, chunk_size: int = GET_ITERATOR_CHUNK_SIZE
    ) -> Any:
        """Return rows as Django's compilers do: lists of rows for MULTI, one row for SINGLE."""
        try:
            rows = self._counted() if self._is_count() else self._rows(streamed=chunked_fetch)
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

    def as_sql(self, with_limits: bool = True, with_col_aliases: bool = False) -> Any:
        """Raise: there is no SQL; what asks for it wants a query within another one."""
        raise NotSupportedError("a subquery is not supported by services")

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
        if query.distinct and not self._has_key():
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
        self.setup_query()
        if self.query.is_empty():
            return iter(())
        ordered = [expression for expression, _ in self.get_order_by()]
        conditions, where = self._where()
        if where == NOTHING:
            return iter(())
        wanted = _Wanted(self, conditions, where, self._sort(ordered))
        rows = wanted.joined(streamed=streamed)
        return self._sliced(wanted, rows)

    def _sliced(self, wanted: "_Wanted", rows: Iterator[Joined]) -> Iterator[tuple[Any, ...]]:
        found = (tuple(wanted.value(row, expression) for expression, *_ in self.select) for row in rows)
        if wanted.pushed_down:
            return found
        if self.query.distinct and not self._has_key():
            selected = {wanted.place(expression) for expression, *_ in self.select}
            if any((wanted.base, one.field) not in selected for one in wanted.sort if one.field != wanted.key):
                raise NotSupportedError("distinct() in the order of what is not selected is not supported by services")
            found = iter(dict.fromkeys(found))
        return islice(found, self.query.low_mark, self.query.high_mark)

    def _where(self) -> tuple[Conditions, Filter]:
        conditions = Conditions(self.query, self.connection)
        return conditions, conditions.of(self.query.where)

    def _has_key(self) -> bool:
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
            expression = one.expression
            if isinstance(expression, Ref):
                expression = expression.source
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
        names = [expression.target.column]
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


class _Wanted:
    """One read: its columns by table, and the way to rows that have them all."""

    def __init__(self, compiler: SQLCompiler, conditions: Conditions, where: Filter, sort: tuple[Sort, ...]) -> None:
        self.compiler, self.query, self.connection = compiler, compiler.query, compiler.connection
        self.conditions, self.where, self.sort = conditions, where, sort
        self.base, self.key = conditions.base, compiler.query.get_meta().pk.column
        if len(conditions.many) > 1:
            raise NotSupportedError("a filter across two relations with many rows is not supported by services")
        self.many: Many | None = conditions.many[0] if conditions.many else None
        distinct_here = self.query.distinct and not compiler._has_key()  # noqa: SLF001 - its other half
        self.pushed_down = self.many is None and not distinct_here
        self.columns = self._columns()

    def value(self, row: Joined, expression: Any) -> Any:
        """Return a column's value in a row of several tables; null where there is no row in its table."""
        alias, column = self.place(expression)
        found = row.get(alias)
        return None if found is None else found[column]

    def joined(self, *, streamed: bool) -> Iterator[Joined]:
        """Yield the rows, joined with all that they refer to."""
        for own in self._own_pages(streamed=streamed):
            rows: list[dict[str, Any]] = [{self.base: row} for row in own]
            if self.many is not None:
                rows = self._repeated(rows)
            for alias, join in self.query.alias_map.items():
                if alias in self.columns and join.parent_alias and not (self.many and alias == self.many.alias):
                    self._join(alias, join.parent_alias, rows)
            yield from rows

    def _own_pages(self, *, streamed: bool) -> Iterator[Sequence[Row]]:
        resource = self.connection.resource(self.query.get_meta())
        where = self.where
        if self.many is not None:
            lhs, rhs = self.conditions.join_of(self.many.alias)
            self._through = self._through_rows(rhs)
            where = all_of([where, self.conditions.among(lhs, self._through)])
            if where == NOTHING:
                return
        low, high = (self.query.low_mark, self.query.high_mark) if self.pushed_down else (0, None)
        limit = None if high is None else high - low
        fields = tuple(sorted({resource.key, *self.columns[self.base]}))
        read = Read(resource, fields, where, self.sort, low, limit)
        yield from self._bounded(resource, self._read(read), streamed=streamed or limit is not None)

    def _read(self, read: Read) -> Iterator[Sequence[Row]]:
        """Yield pages; a list of more keys than one call may name is asked for in several."""
        parts = split(read.where)
        if len(parts) == 1:
            yield from self._pages(read)
            return
        if read.offset or read.limit is not None or read.sort:
            yield self._merged(read, parts)
            return
        for where in parts:
            yield from self._pages(Read(read.resource, read.fields, where))

    def _merged(self, read: Read, parts: Sequence[Filter]) -> list[Row]:
        """Return one list of several; in the order of numbers and keys alone, since texts have the service's sort."""
        kinds = {field.column: field for field in self.query.get_meta().local_concrete_fields}
        texts = [
            one.field for one in read.sort if kinds[one.field].get_internal_type() in TEXTUAL or kinds[one.field].null
        ]
        if texts:
            raise NotSupportedError(
                f"more than {MOST_VALUES} keys in a filter, in the order of {texts[0]}, which only the service knows: "
                f"ask for {MOST_VALUES} keys at a time"
            )
        fields = tuple({*read.fields, *(one.field for one in read.sort)})
        rows = [row for where in parts for page in self._pages(Read(read.resource, fields, where)) for row in page]
        for one in reversed(read.sort):
            rows.sort(key=lambda row, column=one.field: row[column], reverse=one.falling)
        return rows[read.offset : None if read.limit is None else read.offset + read.limit]

    def _pages(self, read: Read) -> Iterator[Sequence[Row]]:
        """Yield pages in which no row stands that an earlier one had: a row may move while a list is read."""
        seen: set[Any] = set()
        for page in self.connection.adapter.pages(read):
            fresh = [row for row in page if row[read.resource.key] not in seen]
            for row in fresh:
                seen.add(row[read.resource.key])
                self.connection.seen(read.resource, row)
            yield fresh

    def _bounded(self, resource: Any, pages: Iterable[Sequence[Row]], *, streamed: bool) -> Iterator[Sequence[Row]]:
        most, rows = self.connection.max_rows, 0
        for page in pages:
            rows += len(page)
            if rows > most and not streamed:
                raise TooManyRows(
                    f"the queryset has more than {most} rows of {resource.name}: filter or slice it, read it with "
                    "iterator(), or raise OPTIONS['max_rows']"
                )
            yield page

    # A join to many rows.

    def _through_rows(self, rhs: Any) -> dict[Any, list[Row]]:
        assert self.many is not None
        needed = {rhs.column, *self.columns.get(self.many.alias, ())}
        found: dict[Any, list[Row]] = defaultdict(list)
        for row in self._related(rhs.model, sorted(needed), self.many.where):
            if row[rhs.column] is not None:
                found[row[rhs.column]].append(row)
        return found

    def _repeated(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        assert self.many is not None
        lhs, _ = self.conditions.join_of(self.many.alias)
        return [{**row, self.many.alias: other} for row in rows for other in self._through[row[self.base][lhs.column]]]

    # Joins to one row.

    def _join(self, alias: str, parent: str, rows: Sequence[dict[str, Any]]) -> None:
        lhs, rhs = self.conditions.join_of(alias)
        if not rhs.unique:
            raise NotSupportedError(f"columns of {rhs.model.__name__}, of which a row here has many, are not supported")
        wanted = dict.fromkeys(row[parent][lhs.column] for row in rows if row.get(parent) is not None)
        keys = tuple(key for key in wanted if key is not None)
        columns = sorted({rhs.column, *self.columns[alias]})
        found: dict[Any, Row] = {}
        for start in range(0, len(keys), MOST_VALUES):
            part = Compare(rhs.column, "in", keys[start : start + MOST_VALUES])
            found |= {row[rhs.column]: row for row in self._related(rhs.model, columns, part)}
        for row in rows:
            row[alias] = None if row.get(parent) is None else found.get(row[parent][lhs.column])

    def _related(self, model: type[Model], columns: Sequence[str], where: Filter) -> list[Row]:
        """Return rows of another table, from where it lives, with values as JSON has them."""
        if where == NOTHING:
            return []
        meta = model._meta  # noqa: SLF001 - documented
        alias = self.connection.home_of(model)
        other = connections[alias]
        if other.vendor == self.connection.vendor:
            resource = other.resource(meta)
            read = Read(resource, tuple(dict.fromkeys([resource.key, *columns])), where)
            parts = [Read(read.resource, read.fields, one) for one in split(where)]
            pages = (page for one in parts for page in other.adapter.pages(one))
            found = [row for page in self._bounded(resource, pages, streamed=False) for row in page]
            for row in found:
                other.seen(resource, row)
            return found
        fields = [field for field in meta.local_concrete_fields if field.column in columns]
        rows = model._base_manager.using(alias).filter(as_q(where, model)).values(*(one.attname for one in fields))  # noqa: SLF001 - documented
        return [{one.column: self._as_json(one, row[one.attname]) for one in fields} for row in rows]

    def _as_json(self, field: Any, value: Any) -> Any:
        return as_json(field.get_db_prep_value(value, self.connection))

    # Columns.

    def _columns(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        found[self.base] = set()
        for expression, *_ in self.compiler.select:
            alias, column = self.place(expression)
            found[alias].add(column)
        if self.many is not None:
            found[self.base].add(self.conditions.join_of(self.many.alias)[0].column)
        for alias in reversed(list(self.query.alias_map)):
            parent = self.query.alias_map[alias].parent_alias
            if alias in found and parent:
                found[parent].add(self.conditions.join_of(alias)[0].column)
        return found

    def place(self, expression: Any) -> tuple[str, str]:
        """Return table and column. Raises NotSupportedError for what would have to be calculated."""
        if isinstance(expression, Col):
            return str(expression.alias), expression.target.column
        if isinstance(expression, RawSQL) and (match := COLUMN.fullmatch(expression.sql.strip("()"))):
            return match["table"], match["column"]
        raise NotSupportedError(f"{expression!r} in a result is not supported by services")


TEXTUAL: Final = frozenset(
    {"CharField", "TextField", "SlugField", "FileField", "FilePathField", "GenericIPAddressField"}
)


def split(where: Filter) -> list[Filter]:
    """Return filters whose rows, one after the other, are those of the whole: for a list of too many keys."""
    parts = where.parts if isinstance(where, AllOf) else (where,)
    for index, part in enumerate(parts):
        if isinstance(part, Compare) and part.lookup == "in" and len(part.value) > MOST_VALUES:
            rest = parts[:index] + parts[index + 1 :]
            starts = range(0, len(part.value), MOST_VALUES)
            lists = (Compare(part.field, "in", part.value[start : start + MOST_VALUES]) for start in starts)
            return [all_of([one, *rest]) for one in lists]
    return [where]


def _chunks(rows: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while chunk := list(islice(rows, size)):
        yield chunk


def _is_count_star(expression: Any) -> bool:
    if not isinstance(expression, CountExpression) or expression.distinct or expression.filter:
        return False
    return isinstance(expression.get_source_expressions()[0], Star)


class SQLAggregateCompiler(SQLCompiler):
    """A count of a query that is sliced or distinct."""

    def execute_sql(self, result_type: str = SINGLE, chunked_fetch: bool = False, chunk_size: int = 100) -> Any:
        """Return the one row with the count."""
        annotations = self.query.annotation_select
        if len(annotations) != 1 or not _is_count_star(next(iter(annotations.values()))):
            raise NotSupportedError(f"aggregate({', '.join(annotations)}) is not supported by services")
        inner = self.query.inner_query.get_compiler(self.using, elide_empty=self.elide_empty)
        return (inner.count(),)


class SQLInsertCompiler(django.SQLInsertCompiler, SQLCompiler):
    """Inserts."""

    def execute_sql(self, returning_fields: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Return, for each row, the values that the service gave."""
        query = self.query
        if query.on_conflict:
            raise NotSupportedError(
                "bulk_create() with ignore_conflicts or update_conflicts is not supported by services"
            )
        meta = query.get_meta()
        resource = self.connection.resource(meta)
        fields = [] if meta.proxy and not query.fields else list(query.fields)
        rows = tuple(self._row(fields, each) for each in query.objs)
        found = self.connection.adapter.insert(Insert(resource, rows))
        for row in found:
            self.connection.seen(resource, row)
        if not returning_fields:
            return []
        values = [tuple(row[field.column] for field in returning_fields) for row in found]
        columns = [field.get_col(meta.db_table) for field in returning_fields]
        converters = self.get_converters(columns)
        return list(self.apply_converters(values, converters)) if converters else values

    def _row(self, fields: Sequence[Any], each: Any) -> Row:
        values = {field: self.pre_save_val(field, each) for field in fields}
        return {
            field.column: self._ready(field, value)
            for field, value in values.items()
            if not isinstance(value, DatabaseDefault)
        }

    def _ready(self, field: Any, value: Any) -> Any:
        if hasattr(value, "resolve_expression"):
            raise NotSupportedError(f"an expression as the value of {field.name} is not supported by services")
        return as_json(field.get_db_prep_save(value, connection=self.connection))


class _Writing(SQLCompiler):
    """What updates and deletes have in common: they are made row by row, by key."""

    def _keys(self) -> list[tuple[Any, str | None]]:
        """Return the rows' keys, each with its version where one was read."""
        resource = self._resource()
        _, where = self._where()
        match where:
            case Compare(field, "exact", key) if field == resource.key:
                return [(key, self.connection.version_of(resource, key))]
            case Compare(field, "in", keys) if field == resource.key:
                return [(key, self.connection.version_of(resource, key)) for key in cast("tuple[Any, ...]", keys)]
            case _ if where == NOTHING:
                return []
            case _:
                return self._found_keys()

    def _found_keys(self) -> list[tuple[Any, str | None]]:
        """Ask for the rows first. A row that changes before it is written is refused by its version, and not missed."""
        from django.db.models.sql import Query

        resource = self._resource()
        query = self.query.chain(klass=Query)
        query.clear_select_clause()
        query.clear_ordering(force=True)
        query.add_fields([query.get_meta().pk.name])
        rows = query.get_compiler(self.using)._rows()  # noqa: SLF001 - its own kind
        return [(key, self.connection.version_of(resource, key)) for key in dict.fromkeys(row[0] for row in rows)]


class SQLUpdateCompiler(django.SQLUpdateCompiler, _Writing):
    """Updates."""

    def execute_sql(self, result_type: str = ROW_COUNT) -> int:
        """Return how many rows there were."""
        query = self.query
        values = {field.column: self._ready(field, value) for field, _, value in query.values}
        if not values and not query.related_updates:
            return 0
        resource = self._resource()
        keys = self._keys()
        updated = sum(self._update(Update(resource, key, values, version)) for key, version in keys) if values else 0
        return max(updated, self._update_parents([key for key, _ in keys]))

    def _update(self, update: Update) -> int:
        try:
            row = self.connection.adapter.update(update)
        except StaleVersion:
            self.connection.forget(update.resource, update.key)
            raise
        if row is None:
            self.connection.forget(update.resource, update.key)
            return 0
        self.connection.seen(update.resource, row)
        return 1

    def _update_parents(self, keys: Sequence[Any]) -> int:
        """Update the tables of parent models, whose rows have the same keys."""
        query = self.query
        if not query.related_updates:
            return 0
        meta = query.get_meta()
        if any(meta.get_ancestor_link(model) != meta.pk for model in query.related_updates):
            raise NotSupportedError("an update of a parent model by another key is not supported by services")
        query.related_ids = {model: list(keys) for model in query.related_updates}
        return max(one.get_compiler(self.using).execute_sql(ROW_COUNT) or 0 for one in query.get_related_updates())

    def _ready(self, field: Any, value: Any) -> Any:
        if isinstance(value, Model):
            value = value.prepare_database_save(field)
        if hasattr(value, "resolve_expression"):
            raise NotSupportedError(
                f"{type(value).__name__}() as the value of {field.name} is not supported by services"
            )
        return as_json(field.get_db_prep_save(value, connection=self.connection))


class SQLDeleteCompiler(django.SQLDeleteCompiler, _Writing):
    """Deletes."""

    def execute_sql(self, result_type: str = ROW_COUNT, **_options: Any) -> int:
        """Return how many rows were deleted."""
        resource = self._resource()
        keys = self._keys()
        deleted = 0
        for start in range(0, len(keys), MOST_VALUES):
            part = keys[start : start + MOST_VALUES]
            version = part[0][1] if len(part) == 1 else None
            deleted += self._delete(Delete(resource, tuple(key for key, _ in part), version))
        return deleted

    def _delete(self, delete: Delete) -> int:
        for key in delete.keys:
            self.connection.forget(delete.resource, key)
        return self.connection.adapter.delete(delete)
