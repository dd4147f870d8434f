"""A mapping and this side's tables, made to what turns events into rows; and what speaks against that.

Each column is filled by one field: the first that has a way back. What no field fills is left as it is, and in a new
row it gets what the mapping's `defaults` say, or else its own default.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from waybill.contracts.fields import Array, Field, Record
from waybill.migrate import tables
from waybill.migrate.applying.inverse import Inverse, Irreversible, inverse
from waybill.migrate.mapping.building import Builder, Built, Finding, record_of
from waybill.migrate.mapping.document import Aggregate, Mapped, MappingError, Source
from waybill.migrate.tables import Column, Table

# Django's own foreign keys are checked at the commit, where nobody could name the column that breaks them.
CONSTRAINTS: Final = """
SELECT DISTINCT quote_ident(n.nspname) || '.' || quote_ident(con.conname)
FROM pg_constraint AS con JOIN pg_namespace AS n ON n.oid = con.connamespace
WHERE con.condeferred AND (con.conrelid = ANY(%(tables)s::regclass[]) OR con.confrelid = ANY(%(tables)s::regclass[]))
ORDER BY 1
"""
SOFT: Final[Mapping[str, tuple[str, str]]] = {
    "boolean": ("false", "true"),
    "timestamp with time zone": ("NULL", "now()"),
    "timestamp without time zone": ("NULL", "now()::timestamp"),
    "date": ("NULL", "current_date"),
}
"""By the kind of the column that says whether a row counts as deleted: there, deleted."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A column that a field fills."""

    column: Column
    field: str
    convert: Inverse


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """One table that events are written to."""

    table: str
    key: Column | None
    """What a row is known by; None of child rows that have no key in the event, and are replaced as a whole."""
    filled: tuple[Filled, ...]
    defaults: Mapping[str, str]
    """Of a new row: SQL, by column."""
    parent: Column | None = None
    """Of child rows: the column with the aggregate's key."""
    sequence: tuple[str, ...] = ()
    """Of child rows: their primary key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receiving:
    """One kind of aggregate, ready to be written."""

    built: Built
    row: Rows
    children: Mapping[str, Rows]
    key_of: tuple[str, Inverse]
    """The field with the row's key, and its way back."""
    erased_key_of: tuple[str, Inverse] | None
    """The same of the event of a deletion; without it the key is looked up by the aggregate's id."""
    soft: tuple[str, str, str] | None
    """The column that says whether a row counts as deleted: its name, then SQL of a row there, and of one gone."""
    deferred: tuple[str, ...] = field(default=())
    """Constraints that would be checked at the commit."""

    @property
    def source(self) -> str:
        """Return the name of the aggregate, as tables of `waybill.migrate` know it."""
        return self.built.aggregate.name


class Receiver:
    """Builds one kind of aggregate to be written, and collects whatever speaks against it."""

    def __init__(self, builder: Builder, cursor: Any) -> None:
        """Take the tables that were read."""
        self.builder, self.cursor = builder, cursor
        self.aggregate: Aggregate = builder.aggregate
        self.findings: list[Finding] = []

    def build(self, built: Built) -> Receiving | None:
        """Return what writes; None where there are findings."""
        assert self.aggregate.apply is not None
        assert self.builder.table is not None
        record = record_of(self.aggregate.event)
        fields = {one.name: one for one in record.fields}
        row = self._row(self.builder.table, fields)
        children = {name: rows for name in self.aggregate.children if (rows := self._child(name, fields[name]))}
        for name in self.aggregate.apply.child_defaults.keys() - self.aggregate.children.keys():
            self._find(self.aggregate.table, "", f"apply.defaults: {name} is no field with child rows")
        soft = self._soft(self.builder.table)
        key_of = self._key(row, self.builder.table)
        if self.findings or row is None or key_of is None:
            return None
        return Receiving(
            built=built,
            row=row,
            children=children,
            key_of=key_of,
            erased_key_of=self._erased_key(self.builder.table),
            soft=soft,
            deferred=self._deferred(),
        )

    def _find(self, table: str, column: str, what: str) -> None:
        self.findings.append(Finding(table, column, what))

    def _row(self, table: Table, fields: Mapping[str, Field]) -> Rows | None:
        assert self.aggregate.apply is not None
        soft = self.aggregate.soft_delete
        filled = self._filled(table, self.aggregate.sources, fields)
        defaults = self._defaults(table, filled, self.aggregate.apply.defaults, {soft or ""})
        return Rows(
            table=table.name,
            key=table.columns[self.aggregate.key],
            filled=filled,
            defaults=defaults,
        )

    def _child(self, name: str, field: Field) -> Rows | None:
        child, table = self.aggregate.children[name], self.builder.child_tables[name]
        assert self.aggregate.apply is not None
        assert table is not None
        assert isinstance(field.type, Array)
        assert isinstance(field.type.items, Record)
        fields = {one.name: one for one in field.type.items.fields}
        filled = self._filled(table, child.fields, fields)
        key = next((one for one in filled if (one.column.name,) == table.primary_key), None)
        left = {child.parent}
        defaults = self._defaults(table, filled, self.aggregate.apply.child_defaults.get(name, {}), left)
        if key is not None:
            self._check_shared(table, key.column, child.fields[key.field])
        return Rows(
            table=table.name,
            key=key.column if key else None,
            filled=filled,
            defaults=defaults,
            parent=table.columns[child.parent],
            sequence=table.primary_key,
        )

    def _filled(self, table: Table, sources: Mapping[str, Source], fields: Mapping[str, Field]) -> tuple[Filled, ...]:
        """Return what fills each column; a column whose fields have no way back is a finding."""
        found: dict[str, Filled] = {}
        failed: dict[str, str] = {}
        for name, source in sources.items():
            column = table.columns.get(source.column) if source.column else None
            if column is None or column.name in found or column.is_generated:
                continue
            try:
                found[column.name] = Filled(column, name, inverse(source, column, fields[name].type))
            except Irreversible as error:
                failed.setdefault(column.name, f"{name}: {error}")
        for name, what in failed.items():
            if name not in found:
                self._find(table.name, name, what)
        return tuple(found.values())

    def _defaults(
        self, table: Table, filled: tuple[Filled, ...], given: Mapping[str, str], elsewhere: set[str]
    ) -> dict[str, str]:
        by_field = {one.column.name for one in filled} | elsewhere
        for name in given:
            if name not in table.columns:
                self._find(table.name, name, "is in apply.defaults, and there is no such column")
            elif name in by_field:
                self._find(table.name, name, "is in apply.defaults, and a field fills it")
        for column in table.columns.values():
            if column.name in by_field or column.name in given or column.is_generated:
                continue
            if not column.nullable and not column.has_default and not self._told(table, column):
                what = "is NOT NULL without a default, and no field fills it: map it, or give it one in apply.defaults"
                self._find(table.name, column.name, what)
        return {
            name: tables.literal(text) + f"::{table.columns[name].cast}"
            for name, text in given.items()
            if name in table.columns
        }

    def _told(self, table: Table, column: Column) -> bool:
        """Tell whether a finding names the column already."""
        return any((one.table, one.column) == (table.name, column.name) for one in self.findings)

    def _key(self, row: Rows | None, table: Table) -> tuple[str, Inverse] | None:
        found = next((one for one in row.filled if one.column.name == self.aggregate.key), None) if row else None
        if found is None:
            what = "no field tells the row's key: add one, as in id = { column = 'id', shared = true }"
            if not self._told(table, table.columns[self.aggregate.key]):
                self._find(table.name, self.aggregate.key, what)
            return None
        self._check_shared(table, found.column, self.aggregate.sources[found.field])
        return found.field, found.convert

    def _check_shared(self, table: Table, column: Column, source: Source) -> None:
        if column.has_default and not source.shared:
            what = "the database gives these keys: say shared = true where a row has the same one on both sides"
            self._find(table.name, column.name, what)

    def _erased_key(self, table: Table) -> tuple[str, Inverse] | None:
        deleted = self.aggregate.deleted
        if deleted is None:
            return None
        kinds = {one.name: one.type for one in record_of(deleted.event).fields}
        for name, source in deleted.fields.items():
            if source.column is None:
                continue
            try:
                return name, inverse(source, table.columns[source.column], kinds[name])
            except Irreversible:
                continue
        return None

    def _soft(self, table: Table) -> tuple[str, str, str] | None:
        name = self.aggregate.soft_delete
        if name is None:
            return None
        kind = table.columns[name].kind
        if kind not in SOFT:
            self._find(table.name, name, f"{kind} cannot be set to say that a row is deleted: a truth or a time can")
            return None
        there, gone = SOFT[kind]
        return name, there, gone

    def _deferred(self) -> tuple[str, ...]:
        own = [self.aggregate.table, *(child.table for child in self.aggregate.children.values())]
        self.cursor.execute(CONSTRAINTS, {"tables": [tables.identifier(one) for one in own]})
        return tuple(name for (name,) in self.cursor.fetchall())


def findings(builder: Builder, built: Built, cursor: Any) -> Iterator[Finding]:
    """Yield why events of the other side could not become rows here."""
    if builder.aggregate.apply is not None:
        receiver = Receiver(builder, cursor)
        receiver.build(built)
        yield from receiver.findings


def receiving(aggregate: Aggregate, mapped: Mapped, cursor: Any) -> Receiving:
    """Return what writes the aggregate's rows. Raises MappingError where `plan` has findings."""
    builder = Builder(aggregate, mapped.namespace, cursor)
    built, found = builder.build(), builder.findings
    receiver = Receiver(builder, cursor)
    made = receiver.build(built) if built else None
    if made is None:
        first = (found or receiver.findings)[0]
        where = f"{first.table}.{first.column}" if first.column else first.table
        raise MappingError(f"{aggregate.name}: {where}: {first.what}; all: python -m waybill migrate plan")
    return made
