"""A saga as data: what the `outbox` command and a console know of the services, whose code they do not have.

A project names the file in `[tool.waybill]` (`saga = "schemas/saga.json"`). It is derived from the services by
`waybill.sagas.deriving`, by deciding every command in every status that can be reached, and nobody edits it.

The saga's own aggregate (a booking, say) has the steps; it waits for answers: events of other aggregates that have
the same key. Which answers those are follows from the decisions: an event is one for a status where the command that
its reaction makes of it acts in that status.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

NONE = "NONE"
"""The status of an aggregate without an event."""


@dataclass(frozen=True, slots=True)
class SagaAggregate:
    """One kind of aggregate that has the saga's key; where its rows are, and in which statuses it is open or ended.

    `ends`: the wanted one first.
    """

    kind: str
    service: str
    table: str
    key: str
    open: Sequence[str]
    ends: Sequence[str]


@dataclass(frozen=True, slots=True)
class SagaEvent:
    """An event of one of these aggregates; without a topic it is private."""

    event_type: str
    service: str
    aggregate: str
    topic: str | None

    @property
    def name(self) -> str:
        """Return the type without its namespace."""
        return short(self.event_type)


@dataclass(frozen=True, slots=True)
class SagaReaction:
    """What a service makes of an event: a command."""

    service: str
    on: str
    command: str
    does: str


@dataclass(frozen=True, slots=True)
class SagaTask:
    """What a worker does once an event asked for it, and the commands that may come of it."""

    service: str
    task: str
    on: str
    delay_seconds: float
    commands: Sequence[str]
    does: str


@dataclass(frozen=True, slots=True)
class SagaDecision:
    """What a command makes of an aggregate in a status: events, and the status after them."""

    service: str
    aggregate: str
    command: str
    status: str
    events: Sequence[str]
    to: str


@dataclass(frozen=True, slots=True)
class Transition:
    """What one event makes of an aggregate's status."""

    aggregate: str
    status: str
    event_type: str
    to: str


@dataclass(frozen=True, slots=True)
class SagaCopy:
    """What a service keeps of another's topic as it came: a list of names, say."""

    service: str
    topic: str
    copy: str


@dataclass(frozen=True, slots=True)
class SagaFollower:
    """Another kind of aggregate, of which a saga leads to any number: its rows name the saga's key in `names`."""

    kind: str
    service: str
    table: str
    key: str
    names: str


@dataclass(frozen=True)
class Saga:
    """The whole of it; `aggregate` is the kind whose steps are the saga's."""

    aggregate: str
    aggregates: Sequence[SagaAggregate]
    events: Sequence[SagaEvent]
    reactions: Sequence[SagaReaction]
    tasks: Sequence[SagaTask]
    decisions: Sequence[SagaDecision]
    transitions: Sequence[Transition]
    copies: Sequence[SagaCopy]
    followers: Sequence[SagaFollower] = ()

    @cached_property
    def own(self) -> SagaAggregate:
        """Return the aggregate whose steps are the saga's."""
        return self.by_kind[self.aggregate]

    @cached_property
    def by_kind(self) -> Mapping[str, SagaAggregate]:
        """Return kind → aggregate."""
        return {one.kind: one for one in self.aggregates}

    @cached_property
    def by_type(self) -> Mapping[str, SagaEvent]:
        """Return event type → event."""
        return {one.event_type: one for one in self.events}

    @cached_property
    def services(self) -> Sequence[str]:
        """Return the services that have a part in it, the saga's own first."""
        return list(dict.fromkeys([self.own.service, *(one.service for one in self.aggregates)]))

    @cached_property
    def _after(self) -> Mapping[tuple[str, str, str], str]:
        return {(one.aggregate, one.status, one.event_type): one.to for one in self.transitions}

    def kinds(self, service: str) -> list[str]:
        """Return the kinds of aggregates of a service."""
        return [one.kind for one in self.aggregates if one.service == service]

    def readers(self, event_type: str) -> list[str]:
        """Return the services that react to an event."""
        return [one.service for one in self.reactions if one.on == event_type]

    def path(self, kind: str, event_types: Sequence[str]) -> Iterator[str | None]:
        """Yield the status after each event of one aggregate; None where the events do not say it."""
        status: str | None = NONE
        for event_type in event_types:
            status = self._after.get((kind, status, event_type)) if status else None
            yield status

    def acts(self, command: str, kind: str, status: str) -> list[SagaDecision]:
        """Return what a command may lead to in a status; nothing where it does not act."""
        return [
            one
            for one in self.decisions
            if one.command == command and one.aggregate == kind and one.status == status and one.events
        ]

    def answers(self, status: str) -> Mapping[str, list[SagaReaction]]:
        """Return what moves the saga on from a status: kind of aggregate that answers → the reactions to its events."""
        found: dict[str, list[SagaReaction]] = {}
        for one in self.reactions:
            if one.service == self.own.service and self.acts(one.command, self.aggregate, status):
                found.setdefault(self.by_type[one.on].aggregate, []).append(one)
        return found

    def deadlines(self, status: str) -> list[SagaTask]:
        """Return the saga's own tasks that move it on from a status."""
        own = (one for one in self.tasks if one.service == self.own.service)
        return [one for one in own if any(self.acts(command, self.aggregate, status) for command in one.commands)]

    def in_json(self) -> str:
        """Return it as the file has it: a line an entry, so that a change shows in a diff."""
        parts = [f'  "aggregate": {json.dumps(self.aggregate)}']
        for name, entries in asdict(self).items():
            if name != "aggregate":
                lines = ",\n".join(f"    {json.dumps(one)}" for one in entries)
                parts.append(f'  "{name}": [\n{lines}\n  ]')
        return "{\n" + ",\n".join(parts) + "\n}\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what the file says. Raises ValueError."""
        try:
            given = json.loads(text)
            kinds: Mapping[str, Any] = {
                "aggregates": SagaAggregate,
                "events": SagaEvent,
                "reactions": SagaReaction,
                "tasks": SagaTask,
                "decisions": SagaDecision,
                "transitions": Transition,
                "copies": SagaCopy,
                "followers": SagaFollower,
            }
            entries = {name: [kind(**one) for one in given[name]] for name, kind in kinds.items()}
            return cls(aggregate=given["aggregate"], **entries)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it is no saga of this release: {error!r}") from None


def short(event_type: str) -> str:
    """Return an event's type without its namespace."""
    return event_type.rpartition(".")[2]


def read(path: Path) -> Saga:
    """Return the saga of a file. Raises OSError and ValueError."""
    return Saga.from_json(path.read_text(encoding="utf-8"))
