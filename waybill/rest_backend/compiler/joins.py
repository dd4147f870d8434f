"""The rows of a read, from one table or several.

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
from typing import Any, Final

from django.db import NotSupportedError
from django.db.models import Model
from django.db.models.expressions import Col, RawSQL

from waybill.rest.filters import MOST_VALUES, NOTHING, AllOf, Compare, Filter, all_of
from waybill.rest_backend.compiler.comparisons import among
from waybill.rest_backend.compiler.conditions import Conditions, Many
from waybill.rest_backend.errors import TooManyRows
from waybill.rest_backend.local import tables_of
from waybill.rest_backend.request import Read, Row, Sort

COLUMN: Final = re.compile(r'"(?P<table>[^"]+)"\."(?P<column>[^"]+)"')
Joined = Mapping[str, Mapping[str, Any] | None]  # alias → row
TEXTUAL: Final = frozenset(
    {"CharField", "TextField", "SlugField", "FileField", "FilePathField", "GenericIPAddressField"}
)


class Wanted:
    """One read: its columns by table, and the way to rows that have them all."""

    def __init__(self, compiler: Any, conditions: Conditions, where: Filter, sort: tuple[Sort, ...]) -> None:
        self.compiler, self.query, self.connection = compiler, compiler.query, compiler.connection
        self.conditions, self.where, self.sort = conditions, where, sort
        self.base, self.key = conditions.base, compiler.query.get_meta().pk.column
        if len(conditions.many) > 1:
            raise NotSupportedError("a filter across two relations with many rows is not supported by services")
        self.many: Many | None = conditions.many[0] if conditions.many else None
        distinct_here = self.query.distinct and not compiler.has_key()
        self.pushed_down = self.many is None and not distinct_here
        self.columns = self._columns()

    def values(self, rows: Iterable[Joined], expressions: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Yield columns' values in rows of several tables; null where there is no row in a column's table."""
        places = [self.place(one) for one in expressions]
        for row in rows:
            yield tuple([None if (own := row[alias]) is None else own[column] for alias, column in places])

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
            where = all_of([where, among(lhs, map(lhs.get_prep_value, self._through), self.connection)])
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

    def _through_rows(self, rhs: Any) -> dict[str, list[Row]]:
        """Return rows by the key that they name, as a text: a generic relation may hold a number as one."""
        assert self.many is not None
        needed = {rhs.column, *self.columns.get(self.many.alias, ())}
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self._related(rhs.model, sorted(needed), self.many.where):
            if row[rhs.column] is not None:
                found[str(row[rhs.column])].append(row)
        return found

    def _repeated(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        assert self.many is not None
        lhs, _ = self.conditions.join_of(self.many.alias)
        return [
            {**row, self.many.alias: other} for row in rows for other in self._through[str(row[self.base][lhs.column])]
        ]

    # Joins to one row.

    def _join(self, alias: str, parent: str, rows: Sequence[dict[str, Any]]) -> None:
        lhs, rhs = self.conditions.join_of(alias)
        if not rhs.unique:
            raise NotSupportedError(f"columns of {rhs.model.__name__}, of which a row here has many, are not supported")
        wanted = dict.fromkeys(row[parent][lhs.column] for row in rows if row.get(parent) is not None)
        keys = tuple(key for key in wanted if key is not None)
        columns = sorted({rhs.column, *self.columns[alias]})
        found: dict[str, Row] = {}
        for start in range(0, len(keys), MOST_VALUES):
            part = Compare(rhs.column, "in", keys[start : start + MOST_VALUES])
            found |= {str(row[rhs.column]): row for row in self._related(rhs.model, columns, part)}
        for row in rows:
            row[alias] = None if row.get(parent) is None else found.get(str(row[parent][lhs.column]))

    def _related(self, model: type[Model], columns: Sequence[str], where: Filter) -> list[Row]:
        """Return rows of another table, from where it lives, with values as JSON has them."""
        if where == NOTHING:
            return []
        other = tables_of(self.connection.home_of(model))
        resource = other.resource(model._meta)  # noqa: SLF001 - documented
        fields = tuple(dict.fromkeys([resource.key, *columns]))
        pages = (page for one in split(where) for page in other.adapter.pages(Read(resource, fields, one)))
        found = [row for page in self._bounded(resource, pages, streamed=False) for row in page]
        for row in found:
            other.seen(resource, row)
        return found

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
            return str(expression.alias), str(expression.target.column)
        if isinstance(expression, RawSQL) and (match := COLUMN.fullmatch(expression.sql.strip("()"))):
            return match["table"], match["column"]
        raise NotSupportedError(f"{expression!r} in a result is not supported by services")


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
