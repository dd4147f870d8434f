"""What cannot be mapped, by table and column, and rows that break the mapping or the project's own constraints.

Writes nothing. Rows are read by the very code that `run` reads them with, so that what the plan accepts is accepted.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from django.db import DatabaseError, connections, transaction

from waybill.contracts import codec
from waybill.contracts.codec import UnwritableEvent
from waybill.migrate import reading, tables
from waybill.migrate.applying import receiving
from waybill.migrate.mapping.building import Builder, Built, Finding
from waybill.migrate.mapping.conversions import RowRefused
from waybill.migrate.mapping.document import Aggregate, Source
from waybill.migrate.tables import ForeignKey, Table

PORTION: Final = 2_000
SAMPLE: Final = 5
ORPHANS: Final = """
SELECT count(*) OVER (), p.{key}::text FROM {table} AS p
WHERE p.{column} IS NOT NULL AND NOT EXISTS (SELECT FROM {target} AS t WHERE t.{other} = p.{column})
ORDER BY p.{key} LIMIT %s
"""
BROKEN: Final = """
SELECT count(*) OVER (), p.{key}::text FROM {table} AS p WHERE NOT ({condition}) ORDER BY p.{key} LIMIT %s
"""


@dataclass(frozen=True)
class Plan:
    """What was found of one kind of aggregate."""

    aggregate: str
    rows: int
    """How many were read."""
    findings: list[Finding] = field(default_factory=list[Finding])
    notes: list[Finding] = field(default_factory=list[Finding])
    """Good to know; nothing need be done about them."""


def plan(aggregate: Aggregate, namespace: UUID, using: str, told: Callable[[int, int], object]) -> Plan:
    """Look at the tables of an aggregate, and at each of its rows where they can be read at all."""
    with transaction.atomic(using), connections[using].cursor() as cursor:
        reading.begin(cursor)
        builder = Builder(aggregate, namespace, cursor)
        built = builder.build()
        made = Plan(aggregate.name, 0, list(builder.findings), list(_notes(builder)))
        made.findings.extend(_constraints(builder, cursor))
        if built is None:
            return made
        made.findings.extend(receiving.findings(builder, built, cursor))
        rows, refused = _rows(cursor, built, builder, told)
        return Plan(aggregate.name, rows, made.findings + refused, made.notes)


def _rows(cursor: Any, built: Built, builder: Builder, told: Callable[[int, int], object]) -> tuple[int, list[Finding]]:
    assert builder.table is not None
    rows, refused = 0, defaultdict[str, list[str]](list)
    counts: defaultdict[str, int] = defaultdict(int)
    for portion in reading.everything(cursor, built, PORTION):
        for row in portion:
            reason = _reason(built, row)
            if reason:
                counts[reason] += 1
                refused[reason] += [row[0]] if len(refused[reason]) < SAMPLE else []
        rows += len(portion)
        told(rows, max(rows, builder.table.rows))
    return rows, [Finding(built.aggregate.table, "", reason, counts[reason], refused[reason]) for reason in refused]


def _reason(built: Built, row: reading.Row) -> str | None:
    try:
        event = built.state(row)
        if event is not None:
            codec.encode(event)
    except (RowRefused, UnwritableEvent) as error:
        return str(error)
    return None


def _notes(builder: Builder) -> Iterator[Finding]:
    """Yield what points to the aggregate from elsewhere, and child rows that are slow to find."""
    table, aggregate = builder.table, builder.aggregate
    if table is None:
        return
    own = {aggregate.table, *(child.table for child in aggregate.children.values())}
    for foreign in table.foreign_keys:
        if foreign.of not in own:
            yield Finding(foreign.of, foreign.column, f"refers to {aggregate.table}, from outside the aggregate")
    for name, child in aggregate.children.items():
        found = builder.child_tables[name]
        if found is not None and child.parent not in found.indexed:
            yield Finding(child.table, child.parent, "has no index: each aggregate reads the whole table")


def _constraints(builder: Builder, cursor: Any) -> Iterator[Finding]:
    """Yield rows that the project's own constraints would refuse today, and keys that lead nowhere."""
    aggregate = builder.aggregate
    parts: list[tuple[Table | None, dict[str, Source]]] = [(builder.table, aggregate.sources)]
    parts += [(builder.child_tables[name], dict(child.fields)) for name, child in aggregate.children.items()]
    for table, sources in parts:
        if table is None or not table.primary_key:
            continue
        for name, condition in table.unchecked:
            statement = BROKEN.format(**_names(table), condition=condition)
            yield from _counted(cursor, statement, table.name, "", f"breaks the constraint {name}")
        for foreign in _unsure(table, sources, cursor):
            words = {"target": tables.identifier(foreign.target), "other": tables.identifier(foreign.target_column)}
            statement = ORPHANS.format(**_names(table), **words, column=tables.identifier(foreign.column))
            what = f"leads to no row of {foreign.target}"
            yield from _counted(cursor, statement, table.name, foreign.column, what)


def _unsure(table: Table, sources: dict[str, Source], cursor: Any) -> Iterator[ForeignKey]:
    """Yield the keys of other tables that no valid constraint vouches for."""
    own = [foreign for foreign in table.foreign_keys if foreign.column in table.columns and foreign.of == table.name]
    yield from (foreign for foreign in own if not foreign.validated)
    sure = {foreign.column for foreign in own}
    for source in sources.values():
        if source.id_of is None or source.column is None or source.column in sure or source.id_of == table.name:
            continue
        target = tables.read(cursor, source.id_of)
        if target is not None and len(target.primary_key) == 1 and source.column in table.columns:
            yield ForeignKey(source.column, source.id_of, target.primary_key[0], table.name, validated=False, name="")


def _names(table: Table) -> dict[str, str]:
    return {"table": tables.identifier(table.name), "key": tables.identifier(table.primary_key[0])}


def _counted(cursor: Any, statement: str, table: str, column: str, what: str) -> Iterator[Finding]:
    try:
        with transaction.atomic(cursor.db.alias):
            cursor.execute(statement.replace("%", "%%").replace("LIMIT %%s", "LIMIT %s"), [SAMPLE])
            found = cursor.fetchall()
    except DatabaseError as error:  # as where a key is compared with one of another type
        yield Finding(table, column, f"{what}: cannot be asked: {str(error).splitlines()[0]}")
        return
    if found:
        yield Finding(table, column, what, found[0][0], [key for _, key in found])
