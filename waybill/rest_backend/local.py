"""A local database, as the compiler for services sees one: for queries that cross from it to a service, or back.

Rows of one table are read by Django's own querysets; the compiler joins them to those of services as it joins theirs.
"""

from collections.abc import Iterator
from typing import Any, Final

from django.apps import apps
from django.db import connections
from django.db.models import Model, Q, QuerySet

from waybill.rest.filters import AllOf, AnyOf, Compare, Filter, Not
from waybill.rest_backend.base import DatabaseWrapper
from waybill.rest_backend.operations import as_json
from waybill.rest_backend.request import Count, Read, Resource, Row

PAGE_ROWS: Final = 500


class LocalTables(DatabaseWrapper):
    """The database at an alias with its tables for collections. Nothing is written through it."""

    def __init__(self, alias: str) -> None:
        super().__init__({**connections[alias].settings_dict, "OPTIONS": {}}, alias)

    def make_adapter(self, options: dict[str, Any]) -> Any:  # noqa: ARG002 - there are none
        """Return what reads tables in place of collections."""
        return LocalAdapter(self)


class LocalAdapter:
    """The reads of `adapter.CollectionAdapter`, of tables."""

    def __init__(self, tables: LocalTables) -> None:
        self._tables = tables

    def pages(self, read: Read) -> Iterator[list[Row]]:
        """Yield the rows page by page."""
        model = _model_of(read.resource)
        fields = [field for field in model._meta.local_concrete_fields if field.column in read.fields]  # noqa: SLF001 - documented
        names = {field.column: field.attname for field in model._meta.local_concrete_fields}  # noqa: SLF001 - documented
        rows = self._rows(model, read.where)
        rows = rows.order_by(*(f"-{names[one.field]}" if one.falling else names[one.field] for one in read.sort))
        rows = rows[read.offset : None if read.limit is None else read.offset + read.limit]
        page: list[Row] = []
        for values in rows.values_list(*(field.attname for field in fields)).iterator(PAGE_ROWS):
            page.append(
                {str(field.column): self._as_json(field, value) for field, value in zip(fields, values, strict=True)}
            )
            if len(page) == PAGE_ROWS:
                yield page
                page = []
        yield page

    def count(self, count: Count) -> int:
        """Return how many rows match."""
        return self._rows(_model_of(count.resource), count.where).count()

    def _rows(self, model: type[Model], where: Filter) -> QuerySet[Any]:
        return model._base_manager.using(self._tables.alias).filter(as_q(where, model)).order_by()  # noqa: SLF001 - documented

    def _as_json(self, field: Any, value: Any) -> Any:
        return as_json(field.get_db_prep_value(value, self._tables))


def tables_of(alias: str) -> DatabaseWrapper:
    """Return what reads the database at an alias: a service's own connection, or a local one's tables."""
    connection = connections[alias]
    return connection if isinstance(connection, DatabaseWrapper) else LocalTables(alias)


def as_q(where: Filter, model: type[Model]) -> Q:
    """Return a filter by columns as one by the model's attributes, for any database."""
    match where:
        case Compare(column, lookup, value):
            names = {field.column: field.attname for field in model._meta.local_concrete_fields}  # noqa: SLF001 - documented
            return Q(**{f"{names[column]}__{lookup}": value})
        case Not(part):
            return ~as_q(part, model)
        case AllOf(parts):
            return Q(*(as_q(part, model) for part in parts)) if parts else Q()
        case AnyOf(parts):
            return Q(*(as_q(part, model) for part in parts), _connector=Q.OR) if parts else Q(pk__in=[])


def _model_of(resource: Resource) -> type[Model]:
    models = apps.get_models(include_auto_created=True)
    return next(one for one in models if one._meta.db_table == resource.name and not one._meta.proxy)  # noqa: SLF001 - documented
