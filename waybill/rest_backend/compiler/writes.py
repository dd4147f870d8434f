"""Writes: a row is written by its key, in the version in which it was read."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from django.db import NotSupportedError
from django.db.models import Case, Model, Q, Value
from django.db.models.expressions import DatabaseDefault
from django.db.models.sql import compiler as django
from django.db.models.sql.constants import ROW_COUNT

from waybill.rest.filters import MOST_VALUES, NOTHING, Compare
from waybill.rest_backend.compiler.conditions import Conditions
from waybill.rest_backend.compiler.reads import SQLCompiler
from waybill.rest_backend.errors import RefusedWrite, StaleVersion
from waybill.rest_backend.operations import as_json
from waybill.rest_backend.request import Delete, Insert, Row, Update

MOST_TRIES: Final = 5  # of an update whose row others change all the time


class SQLInsertCompiler(django.SQLInsertCompiler, SQLCompiler):  # pyright: ignore[reportIncompatibleMethodOverride] - Django too
    """Inserts."""

    query: Any

    def execute_sql(self, returning_fields: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:  # pyright: ignore[reportIncompatibleMethodOverride]
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
        with _told_of(query.model, instances=query.objs):
            found = self.connection.adapter.insert(Insert(resource, rows))
        for row in found:
            self.connection.seen(resource, row)
        if not returning_fields:
            return []
        values = [tuple(row[field.column] for field in returning_fields) for row in found]
        columns = [field.get_col(meta.db_table) for field in returning_fields]
        converters = self.get_converters(columns)
        return [tuple(one) for one in self.apply_converters(values, converters)] if converters else values

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

    searched = False
    """Whether the rows were found by more than their keys."""

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
                self.searched = True
                return self._found_keys()

    def _found_keys(self, key: Any = None) -> list[tuple[Any, str | None]]:
        """Ask for the rows, or for the one of a key if it matches still."""
        from django.db.models.sql import Query

        resource = self._resource()
        query = self.query.chain(klass=Query)
        if key is not None:
            query.add_q(Q(pk=key))
        query.clear_select_clause()
        query.clear_ordering(force=True)
        query.add_fields([query.get_meta().pk.name])
        rows = query.get_compiler(self.using)._rows()  # noqa: SLF001 - its own kind
        return [(key, self.connection.version_of(resource, key)) for key in dict.fromkeys(row[0] for row in rows)]


@dataclass(frozen=True, slots=True)
class _ByKey:
    """A column's values by the row's key, and that of all other rows."""

    values: dict[str, Any]
    default: Any

    def of(self, key: Any) -> Any:
        return self.values.get(str(key), self.default)


class SQLUpdateCompiler(django.SQLUpdateCompiler, _Writing):  # pyright: ignore[reportIncompatibleMethodOverride] - Django too
    """Updates."""

    query: Any

    def execute_sql(self, result_type: str = ROW_COUNT) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return how many rows there were."""
        query = self.query
        values, of_rows = self._values()
        if not query.values and not query.related_updates:
            return 0
        resource = self._resource()
        keys = self._keys()
        updates = (
            Update(resource, key, values | {column: one.of(key) for column, one in of_rows.items()}, version)
            for key, version in keys
        )
        updated = sum(map(self._update, updates)) if query.values else 0
        return max(updated, self._update_parents([key for key, _ in keys]))

    def _values(self) -> tuple[dict[str, Any], dict[str, "_ByKey"]]:
        """Return the values by column: those of all rows, and those that each row has of its own. Calls nothing."""
        query = self.query
        inherited = [(field, value) for rows in query.related_updates.values() for field, _, value in rows]
        for field, value in inherited:
            self._ready(field, value)  # raises, before this table is written
        own = [(field, value) for field, _, value in query.values]
        return (
            {field.column: self._ready(field, value) for field, value in own if not isinstance(value, Case)},
            {field.column: self._by_key(field, value) for field, value in own if isinstance(value, Case)},
        )

    def _by_key(self, field: Any, case: Case) -> "_ByKey":
        """Return the values of CASE WHEN key = … THEN value …: what bulk_update() makes."""
        key, conditions = self._resource().key, Conditions(self.query, self.connection)
        found: dict[str, Any] = {}
        for when in case.cases:
            match conditions.of(when.condition), when.result:
                case Compare(column, "exact", value), Value() as result if column == key:
                    found.setdefault(str(value), self._ready(field, result.value))
                case _:
                    raise NotSupportedError(
                        f"Case() as the value of {field.name} is supported by services with one value for each key"
                    )
        default = case.default.value if isinstance(case.default, Value) else case.default
        return _ByKey(found, self._ready(field, default))

    def _update(self, update: Update) -> int:
        """Write a row. One that was searched for and changed since must match still, as in SQL, or is none of ours."""
        for _ in range(MOST_TRIES):
            try:
                return self._write(update)
            except StaleVersion:
                if not self.searched:
                    raise
            found = self._found_keys(update.key)
            if not found:
                return 0
            update = replace(update, version=found[0][1])
        return self._write(update)

    def _write(self, update: Update) -> int:
        try:
            with _told_of(self.query.model, keys=[update.key]):
                row = self.connection.adapter.update(update)
        except StaleVersion:
            self.connection.forget(update.resource, update.key)
            raise
        if row is None:
            self.connection.forget(update.resource, update.key)
            return 0
        self.connection.written(update.resource, row)
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


class SQLDeleteCompiler(django.SQLDeleteCompiler, _Writing):  # pyright: ignore[reportIncompatibleMethodOverride] - Django too
    """Deletes."""

    query: Any

    def execute_sql(self, result_type: str = ROW_COUNT, **_options: Any) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
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
        with _told_of(self.query.model, keys=delete.keys):
            return self.connection.adapter.delete(delete)


@contextmanager
def _told_of(model: type[Model], *, instances: Sequence[Model] = (), keys: Sequence[Any] = ()) -> Generator[None]:
    """Tell of a refused write which rows it was of: the form that made it shows the error."""
    try:
        yield
    except RefusedWrite as error:
        error.model, error.instances, error.pks = model, instances, keys
        raise
