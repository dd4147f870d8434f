"""The row of every aggregate against the fold of its events.

Every event of the service is folded again, in the sequence of positions, through the service's own `evolve`, on rows
that exist in memory alone. An event moves the row of its own aggregate, and every other row of the service whose
primary key it names: StockReserved stands in a reservation's log and names a `sku`, so it also moves that product.
Positions are taken while those rows are locked, so their sequence is the one in which the rows were moved.

Events and rows are read in one snapshot, so it may run while the service works. Memory: one row an aggregate.
"""
# ruff: noqa: SLF001 - Django's documented _meta

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, cast

from django.db import connection, transaction

from chassis import schema_ids
from chassis.service import Service
from schemas.events import Event

SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
EVENTS: Final = """
SELECT position, aggregate_version, event_type, schema_version, payload FROM outbox ORDER BY position
"""
TIMES: Final = frozenset({"created_at", "updated_at"})  # of the writing, not of the events
FETCH_ROWS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that its events do not lead to, with the columns that differ; None where there is no row, or no event."""

    aggregate_type: str
    aggregate_id: str
    row: dict[str, Any] | None
    fold: dict[str, Any] | None

    @property
    def place(self) -> tuple[str, str]:
        """Return type and id."""
        return self.aggregate_type, self.aggregate_id


@dataclass(slots=True)
class Fold:
    """What a service's events lead to, row by row.

    `last` is the highest position that was read; `gaps` are the positions below it that were not there.
    """

    service: Service
    events: int = 0
    rows: dict[tuple[str, str], Any] = field(default_factory=dict[tuple[str, str], Any])
    last: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    found: list[Difference] = field(default_factory=list[Difference])

    def reach(self, position: int) -> None:
        """Note a position that was read; they come rising."""
        if position > self.last + 1:
            self.gaps.append((self.last + 1, position - 1))
        self.last = position

    def take(self, event: Event, version: int) -> None:
        """Let one more event have happened."""
        before: dict[str, dict[Any, Any]] = {kind: {} for kind in self.service.tables}
        for kind, key in self._named(event):
            before[kind][key] = self.rows.get((kind, str(key)))
        state = self.service.domain.evolve(self.service.models.to_state(before), event)
        for row in self.service.models.to_rows(state):
            place = (row.aggregate_type, str(row.pk))
            old = self.rows.get(place)
            row.version = old.version if old else 0
            self.rows[place] = row
        own = self.rows.get((event.aggregate_type, event.aggregate_id))
        if own is not None:
            own.version = version
        self.events += 1

    def differences(self) -> Iterator[Difference]:
        """Compare with the rows that stand in the database."""
        unseen = dict(self.rows)
        for kind, model in sorted(self.service.tables.items()):
            for row in model.objects.iterator(FETCH_ROWS):
                place = (kind, str(row.pk))
                unseen.pop(place, None)
                if difference := self.compare(place, row):
                    yield difference
        for place in sorted(unseen):
            if difference := self.compare(place, None):
                yield difference

    def compare(self, place: tuple[str, str], row: Any) -> Difference | None:
        """Compare one row, or none, with its fold."""
        fold = self.rows.get(place)
        has = _columns(row) if row is not None else None
        wants = _columns(fold) if fold is not None else None
        if has == wants:
            return None
        if has is not None and wants is not None:
            apart = [name for name in has if has[name] != wants[name]]
            has, wants = {name: has[name] for name in apart}, {name: wants[name] for name in apart}
        return Difference(*place, has, wants)

    def _named(self, event: Event) -> Iterator[tuple[str, Any]]:
        own = self.service.tables[event.aggregate_type]
        yield event.aggregate_type, own._meta.pk.to_python(event.aggregate_id)
        for kind, model in self.service.tables.items():
            if model is not own:
                for key in _values(event.to_avro(), model._meta.pk.name):
                    yield kind, key


class Checked(NamedTuple):
    """What was folded, and every difference."""

    events: int
    aggregates: int
    differences: list[Difference]


def check(service: Service, progress: Callable[[int, int], object]) -> Checked:
    """Fold everything and compare; `progress` is told events folded and the number there are.

    Raises django.db.DatabaseError, or UnreadableEvent for an event not known here.
    """
    fold = fold_all(service, progress)
    return Checked(fold.events, len(fold.rows), fold.found)


def fold_all(service: Service, progress: Callable[[int, int], object]) -> Fold:
    """Return the fold of all events with what differs from it, of one snapshot; else as `check`."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(SNAPSHOT)
            cursor.execute("SELECT count(*) FROM outbox")
            (total,) = cursor.fetchone() or (0,)
        fold = Fold(service)
        with connection.chunked_cursor() as cursor:
            cursor.execute(EVENTS)
            while rows := cursor.fetchmany(FETCH_ROWS):
                for position, version, event_type, schema_version, payload in rows:
                    fold.reach(position)
                    fold.take(schema_ids.decode(event_type, schema_version, bytes(payload)), version)
                progress(fold.events, total)
        fold.found = list(fold.differences())
        return fold


def _values(datum: Mapping[str, Any], name: str) -> Iterator[Any]:
    for field_name, value in datum.items():
        if field_name == name:
            yield value
        elif isinstance(value, list):
            items = cast("Sequence[object]", value)
            for item in items:
                if isinstance(item, Mapping):
                    yield from _values(cast("Mapping[str, Any]", item), name)


def _columns(row: Any) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in row._meta.concrete_fields if column.name not in TIMES}
