"""Tables are the services' own: migrations change none, and there are none to look at."""

from typing import Any, Self

from django.db.backends.base.introspection import BaseDatabaseIntrospection
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class DatabaseIntrospection(BaseDatabaseIntrospection):
    """Say what Django asks for at a flush: every table of the models that are routed here."""

    def table_names(self, cursor: Any = None, include_views: bool = False) -> list[str]:
        """Return the tables of all models, as if they were there, but for the one of migrations that were applied."""
        return sorted(self.django_table_names())

    def get_table_list(self, cursor: Any) -> list[Any]:
        """Return none."""
        return []

    def get_sequences(self, cursor: Any, table_name: str, table_fields: Any = ()) -> list[Any]:
        """Return none."""
        return []


def _change_nothing(_self: object, *_given: Any, **_named: Any) -> None:
    """Do nothing: a service changes its own tables."""


_nothing: Any = _change_nothing  # in place of methods of every signature


class DatabaseSchemaEditor(BaseDatabaseSchemaEditor):
    """Do nothing, whatever a migration asks for."""

    create_model = delete_model = alter_db_table = alter_db_table_comment = alter_db_tablespace = _nothing
    add_field = remove_field = alter_field = _nothing
    add_index = remove_index = rename_index = add_constraint = remove_constraint = _nothing
    alter_unique_together = alter_index_together = execute = _nothing

    def __enter__(self) -> Self:
        self.deferred_sql: list[Any] = []
        return self

    def __exit__(self, *_: object) -> None:
        """Run nothing."""
