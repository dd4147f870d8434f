"""The mapping file as data: `migrate.toml`, read whole and refused by name where it says what nothing understands.

namespace = "6f0c…"                    # of the UUIDs (version 5) that are made of table and key

[aggregates.booking]
table = "bookings_booking"             # one row an aggregate
key = "id"                             # unique and NOT NULL; its text is the key in the queue
event = "bookings.BookingRecorded"     # its full state
soft_delete = "deleted_at"             # set: the row counts as deleted
ignore = ["internal_note"]             # columns that stay behind

[aggregates.booking.fields]            # field of the event ← column, by the conversion that it needs
booking_id = { column = "id", id_of = "bookings_booking" }
state = { column = "state", map = { n = "NEW", c = "CONFIRMED" } }
total = { column = "total", minor_units = 2 }
arrives_at = { column = "arrives_at", zone = "Europe/Berlin", ambiguous = "earlier" }
nights = { column = "nights", default = 1 }
provenance = { value = "snapshot" }
guests = { table = "bookings_guest", parent = "booking_id", fields = { name = "name" }, ignore = ["age"] }

[aggregates.booking.deleted]           # what a deleted row becomes: only its key is known then
event = "bookings.BookingErased"
fields = { booking_id = { column = "id", id_of = "bookings_booking" } }

[aggregates.booking.service]           # where the rows must have arrived; `verify` compares
url = "BOOKINGS_DATABASE_URL"          # the name of an environment variable
table = "bookings"
key = "booking_id"
where = "provenance = 'snapshot'"      # of all rows there, those that came this way
columns = { state = "state", total = "total" }   # column there ← field of the event

[aggregates.booking.apply]             # this side takes in the events of the other one while that owns the rows
defaults = { remark = "" }             # of a new row, for columns that no field fills

A key that is the same on both sides is told as it is: `id = { column = "id", shared = true }`. `sides` has what
`service` says where both sides have the same keys.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from waybill.migrate.mapping import sides
from waybill.migrate.mapping.sides import Applied, Service
from waybill.migrate.mapping.toml_table import NOTHING, MappingError, TomlTable

_SOURCE: Final = frozenset(
    {"column", "value", "map", "minor_units", "zone", "ambiguous", "nonexistent", "default", "id_of", "shared"}
)
_CONVERSIONS: Final = ("map", "minor_units", "zone", "id_of", "shared")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where the value of a field comes from, and how it is converted."""

    column: str | None = None
    value: object = NOTHING
    """The same for every row, where there is no column."""
    map: Mapping[str, object] | None = None
    minor_units: int | None = None
    """Digits behind the point that one unit has: 2 makes 19.99 to 1999."""
    zone: ZoneInfo | None = None
    """Of a time without one."""
    ambiguous: Literal["refuse", "earlier", "later"] = "refuse"
    """Which of the two, where the clock was put back and showed this time twice."""
    nonexistent: Literal["refuse", "forward"] = "refuse"
    """Whether a time that the clock has skipped counts as if it had not been put forward."""
    default: object = NOTHING
    """Instead of NULL."""
    id_of: str | None = None
    """The value is a key of this table and becomes its UUID."""
    shared: bool = False
    """The value is a key that is the same on both sides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Children:
    """Rows of another table that belong to the aggregate, by the sequence of their primary key."""

    table: str
    parent: str
    """The child's column with the aggregate's key."""
    fields: Mapping[str, Source]
    ignore: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Deleted:
    """What a deleted row becomes."""

    event: str
    fields: Mapping[str, Source]


@dataclass(frozen=True, kw_only=True, slots=True)
class Aggregate:
    """One kind of aggregate: its tables, its events."""

    name: str
    table: str
    key: str
    event: str
    fields: Mapping[str, Source | Children]
    soft_delete: str | None = None
    ignore: frozenset[str] = frozenset()
    deleted: Deleted | None = None
    service: Service | None = None
    apply: Applied | None = None
    """Where this side takes in the events of the other one while that owns the rows."""

    @property
    def children(self) -> dict[str, Children]:
        """Return the child tables by field."""
        return {name: one for name, one in self.fields.items() if isinstance(one, Children)}

    @property
    def sources(self) -> dict[str, Source]:
        """Return what the row itself fills."""
        return {name: one for name, one in self.fields.items() if isinstance(one, Source)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Mapped:
    """The whole file."""

    namespace: UUID
    aggregates: Mapping[str, Aggregate] = field(default_factory=dict[str, Aggregate])


def load(path: Path) -> Mapped:
    """Read a mapping file. Raises MappingError."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MappingError(f"{path}: {error}") from None
    table = TomlTable(given, str(path))
    try:
        namespace = UUID(table.text("namespace"))
    except ValueError:
        raise MappingError(f"{path}: namespace: write a UUID of your own, and never change it") from None
    aggregates = {name: _aggregate(name, one) for name, one in table.tables("aggregates").items()}
    table.end()
    if not aggregates:
        raise MappingError(f"{path}: there is no [aggregates.NAME]")
    return Mapped(namespace=namespace, aggregates=aggregates)


def _aggregate(name: str, given: TomlTable) -> Aggregate:
    made = Aggregate(
        name=name,
        table=given.text("table"),
        key=given.text("key"),
        event=given.text("event"),
        fields=_fields(given, children=True),
        soft_delete=given.take("soft_delete", str, None),
        ignore=given.names("ignore"),
        deleted=_deleted(given.table("deleted")),
        service=sides.service(given.table("service")),
        apply=sides.applied(given.table("apply")),
    )
    given.end()
    if made.deleted:
        _refuse_columns_of_a_deleted_row(made, given.where)
    return made


def _fields(given: TomlTable, *, children: bool) -> dict[str, Any]:
    listed = given.take("fields", dict)
    return {name: _source(one, f"{given.where}.fields.{name}", children=children) for name, one in listed.items()}


def _source(given: object, where: str, *, children: bool) -> Source | Children:
    if isinstance(given, str):
        return Source(column=given)
    table = TomlTable(given, where)
    if "table" in table.left and children:
        made = Children(
            table=table.text("table"),
            parent=table.text("parent"),
            fields=_fields(table, children=False),
            ignore=table.names("ignore"),
        )
        table.end()
        return made
    return _column(table)


def _column(table: TomlTable) -> Source:
    given = table.left
    if unknown := given.keys() - _SOURCE:
        raise MappingError(f"{table.where}: nothing understands {', '.join(map(repr, sorted(unknown)))}")
    if ("column" in given) == ("value" in given):
        raise MappingError(f"{table.where}: say either column or value")
    if len(conversions := [name for name in _CONVERSIONS if name in given]) > 1:
        raise MappingError(f"{table.where}: {' and '.join(conversions)} cannot both be")
    for name, allowed in {"ambiguous": {"refuse", "earlier", "later"}, "nonexistent": {"refuse", "forward"}}.items():
        if given.get(name, "refuse") not in allowed:
            raise MappingError(f"{table.where}: {name} = {given[name]!r}; it is one of {', '.join(sorted(allowed))}")
    if not isinstance(given.get("shared", False), bool) or ("shared" in given and "column" not in given):
        raise MappingError(f"{table.where}: shared is true or false, of a column")
    if "zone" in given:
        given["zone"] = _zone(given["zone"], table.where)
    return Source(**given)


def _zone(name: object, where: str) -> ZoneInfo:
    try:
        return ZoneInfo(str(name))
    except (KeyError, ValueError, OSError):
        raise MappingError(f"{where}: zone = {name!r}: there is no such time zone; as in 'Europe/Berlin'") from None


def _deleted(given: TomlTable | None) -> Deleted | None:
    if given is None:
        return None
    made = Deleted(event=given.text("event"), fields=_fields(given, children=False))
    given.end()
    return made


def _refuse_columns_of_a_deleted_row(made: Aggregate, where: str) -> None:
    for name, source in made.deleted.fields.items() if made.deleted else ():
        if source.column not in {None, made.key}:
            raise MappingError(
                f"{where}.deleted.fields.{name}: of a deleted row only the key is known:"
                f" column = {made.key!r}, or value"
            )
