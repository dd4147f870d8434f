"""Django's PostgreSQL backend beside services; see the package."""

from typing import Any

from django.db import NotSupportedError, router
from django.db.backends.postgresql import base, operations, schema
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

from waybill.rest_backend.local import LocalTables
from waybill.rest_backend.postgresql.crossing import services_joined
from waybill.rest_backend.router import service_of


class DatabaseOperations(operations.DatabaseOperations):
    """Choose a compiler for each query: SQL's, or that for services."""

    def compiler(self, compiler_name: str) -> Any:
        """Return what makes a query's compiler."""
        kind = super().compiler(compiler_name)

        def make(query: Any, connection: Any, using: str | None, elide_empty: bool = True) -> SQLCompiler:
            if not isinstance(query, Query) or query.model is None:  # raw SQL; the values of a CheckConstraint
                return kind(query, connection, using, elide_empty)
            if (service := service_of(query.model)) is not None:
                return query.get_compiler(service, elide_empty=elide_empty)
            if joined := services_joined(getattr(query, "inner_query", query)):
                return _crossing(compiler_name, query, connection.alias, joined)
            return kind(query, connection, using, elide_empty)

        return make


def _crossing(compiler_name: str, query: Any, alias: str, joined: set[str]) -> SQLCompiler:
    from waybill.rest_backend import compiler

    if compiler_name not in ("SQLCompiler", "SQLAggregateCompiler"):
        raise NotSupportedError(
            f"a filter across {', '.join(sorted(joined))}, of a service, is not supported here: ask for the keys first"
        )
    return getattr(compiler, compiler_name)(query, LocalTables(alias), alias)


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    """Make no constraint to a table that is a service's."""

    def create_model(self, model: Any) -> None:
        """Create a table."""
        for field in model._meta.local_fields:  # noqa: SLF001 - documented
            self._release(field)
        super().create_model(model)

    def add_field(self, model: Any, field: Any) -> None:
        """Add a column."""
        self._release(field)
        super().add_field(model, field)

    def alter_field(self, model: Any, old_field: Any, new_field: Any, strict: bool = False) -> None:
        """Change a column."""
        self._release(old_field)
        self._release(new_field)
        super().alter_field(model, old_field, new_field, strict)

    def _release(self, field: Any) -> None:
        """Let a foreign key to a service's model be a number; the field is a migration's own copy."""
        related = field.remote_field and field.remote_field.model
        if related and not router.allow_migrate_model(self.connection.alias, related):
            field.db_constraint = False


class DatabaseWrapper(base.DatabaseWrapper):
    """A PostgreSQL database whose models refer to those of services."""

    ops_class = DatabaseOperations
    SchemaEditorClass = DatabaseSchemaEditor
