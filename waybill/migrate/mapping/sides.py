"""What the mapping file says of the other side: where its rows are, and what this side does with its events.

[aggregates.booking.service]
url = "BOOKINGS_DATABASE_URL"
table = "bookings_booking"
key = "id"
by = "key"                             # the rows have the same keys there, and their columns are read as ours are
columns = { state = "state" }          # column there ← field of the event

[aggregates.booking.service.children.guests]
table = "bookings_guest"
parent = "booking_id"
columns = { name = "name" }            # column there ← field of the event's record
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from waybill.migrate.mapping.toml_table import MappingError, TomlTable

_BY: Final = ("id", "key")
_DEFAULTS: Final = (str, bool, int, float, date, datetime)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceChildren:
    """Where the child rows must have arrived."""

    table: str
    parent: str
    columns: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """Where the aggregates must have arrived."""

    url: str
    table: str
    key: str
    columns: Mapping[str, str]
    where: str = "true"
    by: str = "id"
    """`id`: `key` there has the aggregate's id, and columns the fields. `key`: the row's own key, and columns like
    those here, converted by the same mapping."""
    children: Mapping[str, ServiceChildren] = field(default_factory=dict[str, ServiceChildren])


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """How events of the other side become rows here."""

    defaults: Mapping[str, str]
    """Of a new row: the text of a column that no field fills."""
    child_defaults: Mapping[str, Mapping[str, str]]
    """The same of child rows, by field."""


def service(given: TomlTable | None) -> Service | None:
    """Read `[aggregates.….service]`. Raises MappingError."""
    if given is None:
        return None
    made = Service(
        url=given.text("url"),
        table=given.text("table"),
        key=given.text("key"),
        columns=given.take("columns", dict),
        where=given.take("where", str, "true"),
        by=given.take("by", str, "id"),
        children={name: _children(one) for name, one in given.tables("children").items()},
    )
    given.end()
    if made.by not in _BY:
        raise MappingError(f"{given.where}: by = {made.by!r}; it is one of {', '.join(_BY)}")
    if made.children and made.by != "key":
        raise MappingError(f"{given.where}: children are compared by = 'key'; by the id they are a field of columns")
    return made


def applied(given: TomlTable | None) -> Applied | None:
    """Read `[aggregates.….apply]`. Raises MappingError."""
    if given is None:
        return None
    defaults: dict[str, Any] = given.take("defaults", dict, {})
    given.end()
    where = f"{given.where}.defaults"
    nested: dict[str, dict[str, Any]] = {name: one for name, one in defaults.items() if isinstance(one, dict)}
    return Applied(
        defaults=_texts({name: one for name, one in defaults.items() if name not in nested}, where),
        child_defaults={name: _texts(one, f"{where}.{name}") for name, one in nested.items()},
    )


def _children(given: TomlTable) -> ServiceChildren:
    made = ServiceChildren(table=given.text("table"), parent=given.text("parent"), columns=given.take("columns", dict))
    given.end()
    return made


def _texts(given: Mapping[str, Any], where: str) -> dict[str, str]:
    return {name: _text(one, f"{where}.{name}") for name, one in given.items()}


def _text(value: Any, where: str) -> str:
    """Return a value of TOML as PostgreSQL reads it."""
    if not isinstance(value, _DEFAULTS):
        raise MappingError(f"{where} = {value!r}; write a text, a number, a truth or a time")
    return str(value).lower() if isinstance(value, bool) else str(value)
