"""What follows from a command, and from an event: pure, on rows that somebody else has loaded.

    decide    (service, command, rows)           → outcome, rows, versions of the events
    fold      (service, event, version, rows)    → rows

Both are the service's own `evolve` between its own `to_state` and `to_rows`; what is added here is only how rows are
found and how versions are counted. The unit of work, the fold check and the model checker all stand on these two, so
what is checked is what runs. Neither reads a clock nor a database, and neither changes a row that it is given: times
of writing are set by whoever writes.
"""
# ruff: noqa: SLF001 - Django's documented _meta

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from waybill.contracts.event import Event
from waybill.deciders.outcomes import Decision, Ignored, Refused
from waybill.deciders.service import Command, Key, Service
from waybill.models import AggregateRow

RowId = tuple[str, str]
"""Aggregate type and primary key as text, as the outbox has them."""


class RowsById(Protocol):
    """Rows that were loaded."""

    def get(self, row_id: RowId, /) -> AggregateRow | None:
        """Return a row, None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided; with events, the rows that hold the new state, and the version of each event."""

    outcome: Decision
    rows: Mapping[RowId, AggregateRow] = field(default_factory=dict[RowId, AggregateRow])
    versions: Sequence[int] = ()


def decide(service: Service, command: Command, rows: RowsById) -> Decided:
    """Decide on a command, given every row that it names and that is there."""
    named = command.rows()
    keys = ((aggregate_type, key) for aggregate_type, wanted in named.items() for key in wanted)
    state = _state(service, named, keys, rows)
    outcome: Decision = service.domain.decide(command, state)
    if isinstance(outcome, Ignored | Refused):
        return Decided(outcome)
    after = _rows_after(service, state, outcome, rows)
    versions: list[int] = []
    for event in outcome:
        own = after[event.aggregate_type, event.aggregate_id]
        own.version += 1
        versions.append(own.version)
    return Decided(outcome, after, versions)


def fold(service: Service, event: Event, version: int, rows: RowsById) -> Mapping[RowId, AggregateRow]:
    """Return the rows after an event that was recorded as this version of its aggregate.

    An event moves the row of its own aggregate, and every other row of the service whose primary key it names: one in
    a booking's log that has a field `room_id` also moves the room of which that is the key.
    """
    state = _state(service, service.tables, _rows_moved_by(service, event), rows)
    after = _rows_after(service, state, [event], rows)
    own = after.get((event.aggregate_type, event.aggregate_id))
    if own is not None:
        own.version = version
    return after


def _state(service: Service, kinds: Iterable[str], keys: Iterable[tuple[str, Key]], rows: RowsById) -> Any:
    found: dict[str, dict[Key, AggregateRow | None]] = {kind: {} for kind in kinds}
    for kind, key in keys:
        found[kind][key] = rows.get((kind, str(key)))
    return service.models.to_state(found)


def _rows_after(service: Service, state: Any, events: Iterable[Event], rows: RowsById) -> dict[RowId, AggregateRow]:
    """Return the rows of the state after the events, each still at the version that it had."""
    for event in events:
        state = service.domain.evolve(state, event)
    after: dict[RowId, AggregateRow] = {}
    for row in service.models.to_rows(state):
        row_id = (row.aggregate_type, str(row.pk))
        before = rows.get(row_id)
        row.version = before.version if before else 0
        after[row_id] = row
    return after


def _rows_moved_by(service: Service, event: Event) -> Iterator[tuple[str, Key]]:
    own = service.tables[event.aggregate_type]
    yield event.aggregate_type, own._meta.pk.to_python(event.aggregate_id)
    for kind, model in service.tables.items():
        if model is not own:
            for key in _values_named(event.to_avro(), model._meta.pk.name):
                yield kind, key


def _values_named(datum: Mapping[str, Any], name: str) -> Iterator[Any]:
    for field_name, value in datum.items():
        if field_name == name:
            yield value
        elif isinstance(value, list):
            for item in cast("Sequence[object]", value):
                if isinstance(item, Mapping):
                    yield from _values_named(cast("Mapping[str, Any]", item), name)
