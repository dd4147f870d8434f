"""A service whose tables are like the project's: the same keys, and columns that the project's own mapping can read.

Its rows are read and converted as those here, so that what is compared is what both sides would tell.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from waybill.contracts.fields import Array, Field, Record
from waybill.migrate import tables
from waybill.migrate.mapping.building import Built, gone, lines, record_of, text_of
from waybill.migrate.mapping.conversions import Conversion, RowRefused, Unconvertible, conversion
from waybill.migrate.mapping.document import MappingError, Service, Source
from waybill.migrate.tables import Table


@dataclass(frozen=True, slots=True)
class Counterpart:
    """What reads the service's rows."""

    columns: tuple[str, ...]
    """Expressions over the row `p`: the key, whether it counts as deleted, then one a column and one a child table."""
    _read: tuple[tuple[str, Conversion], ...]
    _children: tuple[tuple[str, tuple[tuple[str, Conversion], ...]], ...]

    def state(self, row: Sequence[Any]) -> dict[str, Any] | None:
        """Return what a row holds, by column and child table; None where it counts as deleted."""
        if row[1] == "t":
            return None
        found = {name: _read(convert, text) for (name, convert), text in zip(self._read, row[2:], strict=False)}
        for (name, fields), rows in zip(self._children, row[2 + len(self._read) :], strict=True):
            found[name] = [
                {column: _read(convert, text) for (column, convert), text in zip(fields, line, strict=True)}
                for line in rows
            ]
        return found


def state(service: Service, datum: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the service should hold of an event's fields, by column and child table."""
    found = {column: plain(datum[name]) for column, name in service.columns.items()}
    for name, child in service.children.items():
        found[name] = [{column: plain(line[of]) for column, of in child.columns.items()} for line in datum[name]]
    return found


def build(built: Built, cursor: Any) -> Counterpart:
    """Return what reads the service's rows, with its database's cursor. Raises MappingError."""
    aggregate, service = built.aggregate, built.aggregate.service
    assert service is not None
    where = f"{aggregate.name}.service"
    table = _table(service.table, where, cursor)
    fields = {one.name: one for one in record_of(aggregate.event).fields}
    expressions = [
        f"p.{tables.identifier(service.key)}::text",
        gone(table, aggregate.soft_delete if aggregate.soft_delete in table.columns else None),
        *(text_of("p", Source(column=name)) for name in service.columns),
    ]
    children: list[tuple[str, tuple[tuple[str, Conversion], ...]]] = []
    for name, child in service.children.items():
        at, ours, kind = f"{where}.children.{name}", aggregate.children.get(name), _items(fields.get(name))
        if ours is None or kind is None:
            raise MappingError(f"{at}: {name} is no field with child rows")
        theirs = _table(child.table, at, cursor, child.parent)
        children.append((name, _columns(built, theirs, child.columns, (ours.fields, kind), at)))
        expressions.append(lines(theirs, child.parent, service.key, [Source(column=one) for one in child.columns]))
    read = _columns(built, table, service.columns, (aggregate.sources, fields), where)
    return Counterpart(tuple(expressions), read, tuple(children))


def _items(field: Field | None) -> dict[str, Field] | None:
    kind = field.type if field else None
    if not isinstance(kind, Array) or not isinstance(kind.items, Record):
        return None
    return {one.name: one for one in kind.items.fields}


def _table(name: str, where: str, cursor: Any, column: str | None = None) -> Table:
    table = tables.read(cursor, name)
    if table is None:
        raise MappingError(f"{where}: there is no table {name}")
    if column is not None and column not in table.columns:
        raise MappingError(f"{where}: {name} has no column {column}")
    return table


def _columns(
    built: Built,
    table: Table,
    columns: Mapping[str, str],
    ours: tuple[Mapping[str, Source], Mapping[str, Field]],
    where: str,
) -> tuple[tuple[str, Conversion], ...]:
    """Return what reads each column there, by the conversion of its field here."""
    sources, fields = ours
    found: list[tuple[str, Conversion]] = []
    for name, of in columns.items():
        source = sources.get(of)
        if name not in table.columns:
            raise MappingError(f"{where}: {table.name} has no column {name}")
        if source is None or source.column is None:
            raise MappingError(f"{where}: {of} is no field that comes from a column here")
        try:
            made = conversion(replace(source, column=name), table.columns[name], fields[of].type, built.namespace)
        except Unconvertible as error:
            raise MappingError(f"{where}: {table.name}.{name}: {error}") from None
        found.append((name, made))
    return tuple(found)


def _read(convert: Callable[[str | None], Any], text: str | None) -> Any:
    try:
        return plain(convert(text))
    except RowRefused as refused:  # whatever is here, it is not that
        return f"refused: {refused}"


def plain(value: Any) -> Any:
    """Return a field's value as JSON has it."""
    return json.loads(json.dumps(value, default=_text))


def _text(value: object) -> str:
    if not isinstance(value, UUID):
        raise TypeError(f"{value!r} is no value of an event")
    return str(value)
