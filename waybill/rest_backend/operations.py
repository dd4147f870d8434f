"""Values between Django's fields and JSON; and what is left of SQL, which nothing runs."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, NotSupportedError, connections
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.models.sql import Query
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime, parse_duration, parse_time
from django.utils.duration import duration_iso_string

from waybill.rest.filters import MOST_VALUES
from waybill.rest_backend.creation import DatabaseCreation

Reader = Callable[[Any], Any]


def as_json(value: Any) -> Any:
    """Return a value that a field made ready as JSON takes it."""
    match value:
        case UUID() | Decimal():
            return str(value)
        case bytes() | memoryview() | bytearray():
            return base64.b64encode(cast("bytes", value)).decode()
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return duration_iso_string(value)
        case _:
            return value


class DatabaseOperations(BaseDatabaseOperations):
    """JSON has text, numbers, true, false and null; the rest is text that says it exactly."""

    compiler_module = "waybill.rest_backend.compiler"

    def compiler(self, compiler_name: str) -> Any:
        """Return what makes a query's compiler, where its model lives.

        A Collector asks for every related row in the database of the row that it deletes.
        """
        kind = super().compiler(compiler_name)

        def make(query: Any, connection: Any, using: str | None, elide_empty: bool = True) -> Any:
            home = _home_of(query, connection) if isinstance(query, Query) else connection.alias
            if home == connection.alias:
                return kind(query, connection, using, elide_empty)
            return query.get_compiler(home, elide_empty=elide_empty)

        return make

    def quote_name(self, name: str) -> str:
        """Quote as SQL does; what Django compares quoted names with is made in the same way."""
        return name if name.startswith('"') else f'"{name}"'

    def bulk_batch_size(self, fields: Sequence[Any], objs: Sequence[Any]) -> int:
        """Return how many rows one call takes at most."""
        return MOST_VALUES

    def adapt_datetimefield_value(self, value: datetime | None) -> Any:
        """Return the moment in UTC; one without offset is the project's own time zone's, as with any backend."""
        if not isinstance(value, datetime):
            return value
        zone = self.connection.timezone or timezone.get_default_timezone()
        aware = timezone.make_aware(value, zone) if timezone.is_naive(value) else value
        return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")

    def adapt_datefield_value(self, value: Any) -> Any:
        """Return a date as a text."""
        return value.isoformat() if isinstance(value, date) else value

    def adapt_timefield_value(self, value: Any) -> Any:
        """Return a time as a text."""
        if isinstance(value, time) and timezone.is_aware(value):
            raise ValueError("a time of day has no offset from UTC")
        return value.isoformat() if isinstance(value, time) else value

    def adapt_json_value(self, value: Any, encoder: type[json.JSONEncoder] | None) -> Any:
        """Return it as JSON has it, the encoder's own types included."""
        return json.loads(json.dumps(value, cls=encoder))

    def get_db_converters(self, expression: Any) -> list[Any]:
        """Return what makes a field's value of a JSON one."""
        reader = READERS.get(expression.output_field.get_internal_type())
        if reader is None:
            return []

        def read(value: Any, _expression: Any, _connection: Any) -> Any:
            return None if value is None else reader(value)

        return [read]

    def sql_flush(self, style: Any, tables: Sequence[str], **_options: bool) -> list[str]:
        """Return the tables, in place of statements."""
        return list(tables)

    def execute_sql_flush(self, sql_list: Iterable[str]) -> None:
        """Empty a test's tables, where the project said how."""
        cast("DatabaseCreation", self.connection.creation).reset()

    def no_limit_value(self) -> None:
        """Return that there is none."""

    def explain_query_prefix(self, format: str | None = None, **options: Any) -> str:
        """Raise: there is no plan to explain."""
        raise NotSupportedError("This backend does not support explaining query execution.")


def _home_of(query: Any, connection: Any) -> str:
    """Return the alias of the database that a query is for."""
    if query.model is not None:
        return connection.alias if connection.has(query.model) else connection.home_of(query.model)
    # The values of a CheckConstraint, and no table: for SQL, where the default database has it.
    return connection.alias if connections[DEFAULT_DB_ALIAS].vendor == connection.vendor else DEFAULT_DB_ALIAS


def _datetime(value: Any) -> datetime:
    parsed = parse_datetime(str(value))
    if parsed is None:
        raise ValueError(f"{value!r} is no time")
    if timezone.is_naive(parsed):
        raise ValueError(f"{value!r} has no offset from UTC")
    return parsed if settings.USE_TZ else timezone.make_naive(parsed, timezone.get_default_timezone())


def _parsed(parse: Callable[[str], Any], what: str) -> Reader:
    def read(value: Any) -> Any:
        found = parse(str(value))
        if found is None:
            raise ValueError(f"{value!r} is no {what}")
        return found

    return read


READERS: Mapping[str, Reader] = {
    "DateTimeField": _datetime,
    "DateField": _parsed(parse_date, "date"),
    "TimeField": _parsed(parse_time, "time of day"),
    "DurationField": _parsed(parse_duration, "duration"),
    "DecimalField": lambda value: Decimal(str(value)),
    "UUIDField": lambda value: UUID(str(value)),
    "BinaryField": base64.b64decode,
    "JSONField": json.dumps,  # the field's own decoder reads it
    "FloatField": float,
}
