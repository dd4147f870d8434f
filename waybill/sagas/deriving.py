"""A saga derived from its services: every command decided in every state that can be reached, and nothing declared.

What a project adds are sample commands, one for each difference that a command can make: nobody else knows which values
are sensible.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args

from waybill.contracts.event import Event
from waybill.deciders.outcomes import Decision, Ignored, Refused
from waybill.deciders.service import Attempt, Copy, Domain, Service, Task, command_of
from waybill.sagas.saga import (
    Saga,
    SagaAggregate,
    SagaCopy,
    SagaDecision,
    SagaEvent,
    SagaFollower,
    SagaReaction,
    SagaTask,
    Transition,
)


@dataclass(frozen=True)
class Explored:
    """One kind of aggregate: where it starts, what may be asked of it, and how to tell its status from the state.

    `samples` has all commands that lead anywhere in the service, `commands` the types that are this aggregate's own.
    """

    kind: str
    domain: Domain
    start: Any
    samples: Sequence[Any]
    commands: Sequence[type]
    status: Callable[[Any], str]


@dataclass(frozen=True)
class Decided:
    """One decision: where, what, and what came of it; `path` has status, event, status for each event of the kind."""

    before: str
    command: Any
    decision: Decision
    after: str
    path: Sequence[tuple[str, type[Event], str]]


def decided(explored: Explored) -> Iterator[Decided]:
    """Decide every command in every state that can be reached, those between two events of one decision too."""
    seen, todo = [explored.start], [explored.start]
    for state in todo:
        for command in explored.samples:
            decision = explored.domain.decide(command, state)
            path: list[tuple[str, type[Event], str]] = []
            after = state
            for event in () if isinstance(decision, Ignored | Refused) else decision:
                was, after = after, explored.domain.evolve(after, event)
                if event.aggregate_type == explored.kind:
                    path.append((explored.status(was), type(event), explored.status(after)))
                if after not in seen:
                    seen.append(after)
                    todo.append(after)
            if type(command) in explored.commands:
                yield Decided(explored.status(state), command, decision, explored.status(after), path)


def derive(
    aggregate: str, services: Sequence[Service], parts: Sequence[Explored], events: Sequence[type[Event]]
) -> Saga:
    """Return the saga of one kind of aggregate; `parts` are the kinds that have its key, `events` all event classes."""
    kinds = {part.kind for part in parts}
    owner = {kind: service for service in services for kind in service.tables if kind in kinds}
    own_events = [one for one in events if one.aggregate_type in kinds]
    types = {one.event_type for one in own_events}
    told = sorted(kinds, key=lambda kind: (kind != aggregate, kind))
    found = [(part, one) for part in parts for one in decided(part)]
    return Saga(
        aggregate=aggregate,
        aggregates=[_aggregate(kind, owner[kind]) for kind in told],
        events=[SagaEvent(e.event_type, owner[e.aggregate_type].name, e.aggregate_type, e.topic) for e in own_events],
        reactions=[
            SagaReaction(service.name, event_type, command_of(reaction).__name__, _line(reaction))
            for service in services
            for event_type, (_, reaction) in service.reaction_to.items()
            if event_type in types
        ],
        tasks=[
            _task(service, task)
            for service in services
            for task in service.tasks.values()
            if task.event.event_type in types
        ],
        decisions=_unique(_decision(owner[part.kind], part, one, types) for part, one in found if one.path),
        transitions=_unique(
            Transition(part.kind, before, event.event_type, after)
            for part, one in found
            for before, event, after in one.path
        ),
        copies=_unique(
            SagaCopy(service.name, event.topic or "", command_of(reaction).__name__)
            for service in services
            for event, reaction in service.reaction_to.values()
            if issubclass(command_of(reaction), Copy)
        ),
        followers=list(_followers(owner[aggregate].tables[aggregate], services, kinds)),
    )


def _followers(own: Any, services: Sequence[Service], kinds: Collection[str]) -> Iterator[SagaFollower]:
    """Yield the aggregates of other kinds whose rows name the saga's key, by the column that it has in its own."""
    key = own._meta.pk.column  # noqa: SLF001 - Django's documented _meta
    for service in services:
        for kind, table in sorted(service.tables.items()):
            meta = table._meta  # noqa: SLF001
            if kind not in kinds and key in {field.column for field in meta.concrete_fields}:
                yield SagaFollower(kind, service.name, meta.db_table, meta.pk.column, key)


def _aggregate(kind: str, service: Service) -> SagaAggregate:
    table = service.tables[kind]
    statuses = [[str(status) for status in found] for found in (table.open_statuses, table.end_statuses)]
    meta = table._meta  # noqa: SLF001 - Django's documented _meta
    return SagaAggregate(kind, service.name, meta.db_table, meta.pk.column, *statuses)


def _task(service: Service, task: Task) -> SagaTask:
    commands = [kind.__name__ for kind in commands_of(task.attempt)]
    return SagaTask(
        service.name, task.name, task.event.event_type, task.delay.total_seconds(), commands, _line(task.attempt)
    )


def _decision(service: Service, part: Explored, one: Decided, types: set[str]) -> SagaDecision:
    assert not isinstance(one.decision, Ignored | Refused)
    made = [event.event_type for event in one.decision if event.event_type in types]
    return SagaDecision(service.name, part.kind, type(one.command).__name__, one.before, made, one.after)


def _unique(found: Iterator[Any]) -> list[Any]:
    kept: dict[str, Any] = {}
    for one in found:
        kept.setdefault(repr(one), one)
    return list(kept.values())


def commands_of(attempt: Attempt) -> list[type]:
    """Return the types of commands that may come of an attempt, by its annotation."""
    returned = attempt.__annotations__["return"]
    return [kind for kind in get_args(returned) or (returned,) if kind not in {NoneType, None}]


def keys_of(contracts: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
    """Return kind of aggregate → the field that is its events' key, by the schemas."""
    return {schema["aggregate"]: schema["key"] for schema in contracts}


def _line(function: Any) -> str:
    return (function.__doc__ or "").splitlines()[0]
