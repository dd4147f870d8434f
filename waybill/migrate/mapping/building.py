"""A mapping and the tables that it names, made to what reads rows and builds events of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from waybill.application import event_classes
from waybill.contracts import contracts
from waybill.contracts.event import Event
from waybill.contracts.fields import NO_DEFAULT, Array, Field, Record, read_record
from waybill.migrate import tables
from waybill.migrate.mapping.conversions import Conversion, RowRefused, Unconvertible, conversion
from waybill.migrate.mapping.document import Aggregate, MappingError, Source
from waybill.migrate.tables import Table

ORDINARY: Final = ("r", "p")


class Finding(NamedTuple):
    """Something that cannot be mapped as it is, by table and column."""

    table: str
    column: str
    what: str
    rows: int | None = None
    """How many rows it is about; None where it is about the column as such."""
    keys: Sequence[str] = ()
    """A few of them."""


@dataclass(frozen=True, slots=True)
class Built:
    """One kind of aggregate, ready to be read: SQL for its columns, conversions for its fields."""

    aggregate: Aggregate
    key_type: str
    columns: tuple[str, ...]
    """Expressions over the row `p`, each text: the key, whether it counts as deleted, then one a field."""
    event: type[Event]
    conversions: tuple[tuple[str, Conversion], ...]
    children: tuple[tuple[str, tuple[tuple[str, Conversion], ...]], ...]
    erased: type[Event] | None
    erased_fields: tuple[tuple[str, Conversion], ...]
    identity: Conversion
    """Makes the aggregate's id of the key."""
    namespace: UUID

    def aggregate_id(self, key: str) -> str:
        """Return the id that the events of a key have. Raises RowRefused."""
        return str(self.identity(key))

    def state(self, row: Sequence[Any]) -> Event | None:
        """Return the event of a row as `columns` read it; None where it counts as deleted. Raises RowRefused."""
        datum = self.datum(row)
        return None if datum is None else self.event.from_avro(datum)

    def datum(self, row: Sequence[Any]) -> dict[str, Any] | None:
        """Return the fields of a row as `columns` read it; None where it counts as deleted. Raises RowRefused."""
        if row[1] == "t":
            return None
        datum = {name: convert(text) for (name, convert), text in zip(self.conversions, row[2:], strict=False)}
        for (name, fields), lines in zip(self.children, row[2 + len(self.conversions) :], strict=True):
            datum[name] = [
                {field: convert(text) for (field, convert), text in zip(fields, line, strict=True)} for line in lines
            ]
        return datum

    def deletion(self, key: str) -> Event:
        """Return the event of a row that is gone. Raises RowRefused where the mapping has none."""
        if self.erased is None:
            raise RowRefused("deleted, and the mapping names no event for that: [aggregates.….deleted]")
        return self.erased.from_avro({name: convert(key) for name, convert in self.erased_fields})


class Builder:
    """Builds one kind of aggregate, and collects whatever speaks against it."""

    def __init__(self, aggregate: Aggregate, namespace: UUID, cursor: Any) -> None:
        """Read the tables."""
        self.aggregate, self.namespace = aggregate, namespace
        self.findings: list[Finding] = []
        self.table = tables.read(cursor, aggregate.table)
        self.child_tables = {name: tables.read(cursor, one.table) for name, one in aggregate.children.items()}

    def build(self) -> Built | None:
        """Return what reads and builds; None where there are findings."""
        if self.table is None or self.table.kind not in ORDINARY:
            self._find(self.aggregate.table, "", "there is no such table")
            return None
        self._check_key(self.table)
        event, record = self._event(self.aggregate.event)
        conversions = self._row(self.table, record)
        children = self._children(record)
        erased, erased_fields = self._erased(self.table)
        identity = self._identity(self.table, record)
        self._check_columns()
        if self.findings or event is None or identity is None:
            return None
        return Built(
            aggregate=self.aggregate,
            key_type=self.table.columns[self.aggregate.key].type,
            columns=self._expressions(self.table, [name for name, _ in conversions], children),
            event=event,
            conversions=tuple(conversions),
            children=tuple((name, tuple(fields)) for name, fields in children.items()),
            erased=erased,
            erased_fields=tuple(erased_fields),
            identity=identity,
            namespace=self.namespace,
        )

    def _find(self, table: str, column: str, what: str) -> None:
        self.findings.append(Finding(table, column, what))

    def _check_key(self, table: Table) -> None:
        key, column = self.aggregate.key, table.columns.get(self.aggregate.key)
        if column is None or column.nullable or key not in table.unique:
            self._find(table.name, key, "the key is one column, unique and NOT NULL; this is not")
        if table.kind != "r" or table.has_parts:
            self._find(table.name, "", "has partitions or heirs: a write straight to one of them is not captured")
        soft = self.aggregate.soft_delete
        if soft and soft not in table.columns:
            self._find(table.name, soft, "there is no such column")

    def _event(self, name: str) -> tuple[type[Event] | None, Record | None]:
        event = event_classes().get(name)
        if event is None:
            self._find(self.aggregate.table, "", f"there is no event {name}")
            return None, None
        return event, record_of(name)

    def _row(self, table: Table, record: Record | None) -> list[tuple[str, Conversion]]:
        return self._converted(table, self.aggregate.sources, record, set(self.aggregate.children))

    def _children(self, record: Record | None) -> dict[str, list[tuple[str, Conversion]]]:
        found: dict[str, list[tuple[str, Conversion]]] = {}
        kinds = {field.name: field.type for field in record.fields} if record else {}
        for name, child in self.aggregate.children.items():
            table, kind = self.child_tables[name], kinds.get(name)
            if table is None:
                self._find(child.table, "", "there is no such table")
            elif not isinstance(kind, Array) or not isinstance(kind.items, Record):
                self._find(child.table, "", f"{name} of {self.aggregate.event} is no list of records")
            else:
                if child.parent not in table.columns:
                    self._find(child.table, child.parent, "there is no such column")
                if table.kind != "r" or table.has_parts:
                    self._find(child.table, "", "has partitions or heirs: a write straight to one is not captured")
                found[name] = self._converted(table, child.fields, kind.items, set())
        return found

    def _erased(self, table: Table) -> tuple[type[Event] | None, list[tuple[str, Conversion]]]:
        deleted = self.aggregate.deleted
        if deleted is None:
            return None, []
        event, record = self._event(deleted.event)
        return event, self._converted(table, deleted.fields, record, set())

    def _identity(self, table: Table, record: Record | None) -> Conversion | None:
        if record is None:
            return None
        field = str(_contract(self.aggregate.event)["key"])
        source = self.aggregate.sources.get(field)
        if source is None or source.column != self.aggregate.key:
            self._find(table.name, self.aggregate.key, f"{field}, the id of the event, must come from the key")
            return None
        kind = next(one.type for one in record.fields if one.name == field)
        try:
            return conversion(source, table.columns.get(self.aggregate.key), kind, self.namespace)
        except Unconvertible:
            return None  # said already, of the same field

    def _converted(
        self, table: Table, sources: Mapping[str, Source], record: Record | None, elsewhere: set[str]
    ) -> list[tuple[str, Conversion]]:
        found: list[tuple[str, Conversion]] = []
        fields = {field.name: field for field in record.fields} if record else {}
        for name in sources.keys() - fields.keys() if record else ():
            self._find(table.name, sources[name].column or "", f"{record and record.full_name} has no field {name}")
        for field in fields.values():
            if field.name in elsewhere:
                continue
            convert = self._field(table, field, sources.get(field.name))
            if convert is not None:
                found.append((field.name, convert))
        return found

    def _field(self, table: Table, field: Field, source: Source | None) -> Conversion | None:
        if source is None:
            if field.default is NO_DEFAULT:
                self._find(table.name, "", f"nothing fills the field {field.name}; name its column or a value")
                return None
            default = field.default
            return lambda _: default
        column = table.columns.get(source.column) if source.column else None
        if source.column and column is None:
            self._find(table.name, source.column, "there is no such column")
            return None
        try:
            return conversion(source, column, field.type, self.namespace)
        except Unconvertible as error:
            self._find(table.name, source.column or "", f"{field.name}: {error}")
            return None

    def _check_columns(self) -> None:
        """Find columns that nobody has thought of: they would be lost without a word."""
        aggregate = self.aggregate
        parts: list[tuple[Table | None, Mapping[str, Source], frozenset[str]]] = [
            (self.table, aggregate.sources, aggregate.ignore | {aggregate.soft_delete or ""})
        ]
        for name, child in aggregate.children.items():
            table = self.child_tables[name]
            keys = set(table.primary_key) if table else set[str]()
            parts.append((table, child.fields, child.ignore | {child.parent} | keys))
        for table, sources, left in parts:
            if table is None:
                continue
            taken = {source.column for source in sources.values()} | left
            for name in table.columns.keys() - taken:
                self._find(table.name, name, "is in no field; map it, or name it under ignore")
            for name in sorted(left - table.columns.keys() - {""}):
                self._find(table.name, name, "is under ignore, and there is no such column")

    def _expressions(self, table: Table, fields: Sequence[str], children: Mapping[str, Any]) -> tuple[str, ...]:
        aggregate = self.aggregate
        sources = aggregate.sources
        return (
            f"p.{tables.identifier(aggregate.key)}::text",
            gone(table, aggregate.soft_delete),
            *(text_of("p", sources.get(name)) for name in fields),
            *(self._lines(name, [field for field, _ in children[name]]) for name in children),
        )

    def _lines(self, name: str, fields: Sequence[str]) -> str:
        child, table = self.aggregate.children[name], self.child_tables[name]
        assert table is not None
        return lines(table, child.parent, self.aggregate.key, [child.fields.get(field) for field in fields])


def gone(table: Table, soft_delete: str | None) -> str:
    """Return SQL that tells with 't' whether a row `p` counts as deleted."""
    if soft_delete is None:
        return "'f'"
    column = f"p.{tables.identifier(soft_delete)}"
    is_truth = table.columns[soft_delete].kind == "boolean"
    return f"CASE WHEN {f'coalesce({column}, false)' if is_truth else f'{column} IS NOT NULL'} THEN 't' ELSE 'f' END"


def lines(table: Table, parent: str, key: str, sources: Sequence[Source | None]) -> str:
    """Return SQL of the child rows of a row `p`, each an array of these columns as text."""
    columns = ", ".join(text_of("c", source) for source in sources)
    sequence = ", ".join(f"c.{tables.identifier(one)}" for one in table.primary_key) or "c.ctid"
    return (
        f"ARRAY(SELECT ARRAY[{columns}] FROM {tables.identifier(table.name)} AS c"  # noqa: S608 - quoted
        f" WHERE c.{tables.identifier(parent)} = p.{tables.identifier(key)} ORDER BY {sequence})"
    )


def text_of(row: str, source: Source | None) -> str:
    """Return SQL of a column as text; NULL where the value comes from none."""
    if source is None or source.column is None:
        return "NULL::text"
    return f"{row}.{tables.identifier(source.column)}::text"


def _contract(event_type: str) -> Mapping[str, Any]:
    return contracts.by_event(contracts.load())[event_type][-1].schema


def record_of(event_type: str) -> Record:
    """Return the current schema of an event as a tree."""
    return read_record(_contract(event_type))


def build(aggregate: Aggregate, namespace: UUID, cursor: Any) -> Built:
    """Return what reads the aggregate and builds its events. Raises MappingError where `plan` has findings."""
    builder = Builder(aggregate, namespace, cursor)
    built = builder.build()
    if built is None:
        first = builder.findings[0]
        where = f"{first.table}.{first.column}" if first.column else first.table
        raise MappingError(
            f"{aggregate.name}: {where}: {first.what}; all {len(builder.findings)}: python -m waybill migrate plan"
        )
    return built
