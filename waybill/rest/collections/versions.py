"""A row's version: a tag of the fields that are served, another one wherever a value is another.

PostgreSQL makes it of the row, so that a page reads and converts only the fields that were asked for. The rows of any
other database are hashed here, whole.

Relied on: a row's text is the same in every session. Moments would stand in the session's time zone, and so are put in
UTC; `DateStyle`, `bytea_output` and the like are a server's or a role's, the same for reads and for writes.

Rejected: `xmin`, which costs nothing, but also changes with columns that are not served, by a write that changes
nothing, and never within a transaction; a view has none.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, Self

from django.db.models import CharField, DateTimeField, Expression, Field

LENGTH: Final = 16
IN_UTC: Final = " AT TIME ZONE 'UTC'"
OF_ROW: Final = "left(encode(sha256(convert_to(ROW({})::text, 'UTF8')), 'hex'), {})"


class InDatabase(Expression):
    """The version as PostgreSQL makes it, of columns of the query's own table."""

    def __init__(self, fields: "tuple[Field[Any, Any], ...]", table: str = "") -> None:
        super().__init__(output_field=CharField())
        self._fields, self._table = fields, table

    def resolve_expression(self, query: Any = None, *_given: Any, **_named: Any) -> Self:
        """Return it with what the query calls its table."""
        return type(self)(self._fields, query.get_initial_alias())

    def relabeled_clone(self, change_map: Mapping[str, str]) -> Self:
        """Return it for a query that calls its table otherwise."""
        return type(self)(self._fields, change_map.get(self._table, self._table))

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:  # noqa: ARG002 - Django's signature
        """Return the statement's part, written at once: to build it of Django's own expressions takes longer."""
        quote = compiler.quote_name_unless_alias
        columns = (
            f"{quote(self._table)}.{quote(one.column)}{IN_UTC if isinstance(one, DateTimeField) else ''}"
            for one in self._fields
        )
        return OF_ROW.format(", ".join(columns), LENGTH), ()


def here(row: Mapping[str, Any]) -> str:
    """Return the version of a row of any other database, as JSON has it."""
    return hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest()[:LENGTH]
