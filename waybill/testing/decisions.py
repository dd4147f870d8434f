"""The unit of work without a database: rows in memory go through the real `decide`, `evolve` and `models`.

A decision is pure, so it is made once: rows, commands and events become small numbers, and the same command on the same
rows is looked up. Every new decision also goes through the fold of `outbox rebuild --check`: a row that differs from
its fold is a fault.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Generic, NamedTuple, TypeVar

from waybill.contracts.event import Event
from waybill.deciders import decision, rebuild
from waybill.deciders.decision import RowId
from waybill.deciders.outcomes import Ignored, Refused
from waybill.deciders.service import Command, Copy, Service, reacted

NO_ROW: Final = 0
Thing = TypeVar("Thing")


class Fault(Exception):
    """A promise is broken; the message says which."""


class Numbered(Generic[Thing]):
    """Give equal things one small number, from 0."""

    def __init__(self) -> None:
        """Begin with none."""
        self.things: list[Thing] = []
        self._numbers: dict[Any, int] = {}

    def __call__(self, thing: Thing, key: Any = None) -> int:
        """Return the number of a thing, by its key where it cannot be compared itself."""
        key = thing if key is None else key
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.things)
            self.things.append(thing)
        return number

    def __getitem__(self, number: int) -> Thing:
        """Return the thing of a number."""
        return self.things[number]

    def __len__(self) -> int:
        """Return how many different things there are."""
        return len(self.things)


class Told(NamedTuple):
    """What a reaction may know of a message."""

    version: int


class Outcome(NamedTuple):
    """What came of a command: rows that changed, events, and it all in words."""

    says: str
    changed: tuple[tuple[RowId, int], ...] = ()
    events: tuple[int, ...] = ()
    refused: bool = False


class Decisions:
    """Hold what is numbered, and the services by name, as they were when it was made."""

    def __init__(self, services: Mapping[str, Service]) -> None:
        """Take the services; each is read anew, so that one whose functions were changed is what is searched."""
        self.services = {name: replace(service) for name, service in services.items()}
        self.rows: Numbered[Any] = Numbered()
        self.rows(None, "no row")
        self.events: Numbered[Event] = Numbered()
        self.commands: Numbered[Command | Copy] = Numbered()
        self._decided: dict[Any, Outcome] = {}

    def __len__(self) -> int:
        """Return how many different decisions were made."""
        return len(self._decided)

    def reaction(self, service: str, event: int, version: int = 1) -> int | None:
        """Return the command that the event becomes; None where nobody reacts."""
        found = self.services[service].reaction_to.get(self.events[event].event_type)
        command = None if found is None else reacted(found[1], self.events[event], Told(version))
        return None if command is None else self.commands(command)

    def handle(self, service: str, command: int, rows: tuple[tuple[RowId, int], ...]) -> Outcome:
        """Decide on the command, given every row that it names. Raises Fault."""
        key = (service, command, rows)
        outcome = self._decided.get(key)
        if outcome is None:
            outcome = self._decided[key] = self._handle(self.services[service], self.commands[command], rows)
        return outcome

    def state(self, service: str, row_id: RowId, row: int) -> Any:
        """Return what a worker is given for a row."""
        of = self.rows[row]
        return self.services[service].models.to_state({row_id[0]: {of.pk: of}})

    def number(self, row: Any) -> int:
        """Return a row's number."""
        columns = {field.name: getattr(row, field.name) for field in row._meta.concrete_fields}
        kept = {name: value for name, value in columns.items() if name not in rebuild.TIMES}
        return self.rows(row, json.dumps([row.aggregate_type, kept], default=str, sort_keys=True))

    def _handle(self, service: Service, command: Any, numbers: tuple[tuple[RowId, int], ...]) -> Outcome:
        rows = {row_id: self.rows[number] for row_id, number in numbers if number != NO_ROW}
        decided = decision.decide(service, command, rows)
        match decided.outcome:
            case Refused(detail=detail):
                return Outcome(f"refused ({detail})", refused=True)
            case Ignored(reason=reason):
                return Outcome(f"ignored ({reason})")
            case events:
                self._refuse_another_fold(service, rows, decided, events)
                return Outcome(
                    ", ".join(type(event).__name__ for event in events),
                    tuple((row_id, self.number(row)) for row_id, row in decided.rows.items()),
                    tuple(self.events(event) for event in events),
                )

    def _refuse_another_fold(
        self, service: Service, rows: dict[RowId, Any], decided: decision.Decided, events: Any
    ) -> None:
        fold = rebuild.Fold(service, dict(rows))
        try:
            for event, version in zip(events, decided.versions, strict=True):
                fold.take(event, version)
        except KeyError as error:
            raise Fault(f"a row is not the fold of its events: an event does not name {error}") from error
        for row_id, row in decided.rows.items():
            if self.number(row) != self.number(fold.rows.get(row_id)):
                raise Fault(f"{row_id[0]} is not the fold of its events")
