"""What remains of a saga: the way from where it stands to its end, read off the saga's table.

    answers   events of other aggregates that move the saga on from its status
    a way     the decisions by which such an aggregate comes to an answer, from its own status, by what triggers it has:
              events of the saga that are there or are to come, and tasks that its own events ask for

Where several answers are possible the way to the wanted end is told, and the others as `otherwise`. A decision that
makes two events at once is told only where no longer way takes as many: that it happens is the exception.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Final, NamedTuple

from outbox_relay.databases import short_name
from waybill.sagas.saga import NONE, Saga, SagaDecision, SagaReaction, short

LONGEST: Final = 12  # decisions of one aggregate on the way to an answer


@dataclass(frozen=True, slots=True)
class Step:
    """One decision that is still to come: on an event or by a task, of which command, and what it makes.

    `to`: the saga's status after it, where that changes. `otherwise`: what may come of it instead.
    """

    service: str
    on: str
    task: str | None
    does: str
    makes: Sequence[str]
    to: str | None = None
    otherwise: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Position:
    """Where the aggregates of one saga stand, which events there are, and which of them each service has handled."""

    status: Mapping[str, str]
    events: Sequence[str]
    handled: Collection[tuple[str, str]]
    """(service, event type)."""


def remaining(saga: Saga, at: Position) -> list[Step]:
    """Return the steps to the wanted end that can still be reached, and what follows from it in other services."""
    status, events, statuses = at.status.get(saga.aggregate, NONE), list(at.events), dict(at.status)
    steps: list[Step] = []
    told: set[str] = set()
    while status not in saga.own.ends and status not in told:
        told.add(status)
        chosen, status = _move(saga, status, statuses, events, at.handled)
        steps += chosen
        events += [name for step in chosen for name in _types(saga, step.makes)]
    return [*steps, *_followers(saga, at, events, steps)]


def open_answers(saga: Saga, status: str, handled: Collection[tuple[str, str]]) -> dict[str, list[SagaReaction]]:
    """Return the answers that are awaited, by kind of aggregate: those of which none has been handled."""
    return {
        kind: reactions
        for kind, reactions in saga.answers(status).items()
        if not any((saga.own.service, one.on) in handled for one in reactions)
    }


def _move(
    saga: Saga, status: str, statuses: dict[str, str], events: Sequence[str], handled: Collection[tuple[str, str]]
) -> tuple[list[Step], str]:
    """Return the steps out of a status, and the one that they lead to; the same where the table knows no way."""
    steps: list[Step] = []
    after = status
    awaited = open_answers(saga, status, handled)
    for left, (kind, reactions) in zip(range(len(awaited) - 1, -1, -1), awaited.items(), strict=True):
        there = Way(saga, kind, statuses.get(kind, NONE), events, handled)
        found = there.to_an_answer(reactions, status)
        if found is None:
            continue
        way, answer, statuses[kind] = found
        outcomes = saga.acts(answer.command, saga.aggregate, status)
        best = min(outcomes, key=lambda one: (left > 0 and one.to != status, distance(saga, one.to)))
        told = {_told(one, status) for one in outcomes}
        others = {_told(one, status) for other in reactions for one in saga.acts(other.command, saga.aggregate, status)}
        made, service = [short(one) for one in best.events], short_name(saga.own.service)
        after = best.to
        steps += way
        steps.append(Step(service, short(answer.on), None, answer.command, made, after, sorted(others - told)))
    return steps, after


def _told(one: SagaDecision, status: str) -> str:
    made = ", ".join(map(short, one.events))
    return f"{made} → {one.to}" if one.to != status else made


class State(NamedTuple):
    """Where an aggregate is on its way: its status, what it made, and the events that wait for its service's reaction.

    What waits is handled first: it is there already.
    """

    status: str
    made: frozenset[str]
    pending: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """The ways of one aggregate to an answer, from its status, with the events that there are or are to come."""

    saga: Saga
    kind: str
    start: str
    events: Sequence[str]
    handled: Collection[tuple[str, str]]

    @property
    def service(self) -> str:
        """Return the service that decides."""
        return self.saga.by_kind[self.kind].service

    def to_an_answer(
        self, reactions: Sequence[SagaReaction], status: str
    ) -> tuple[list[Step], SagaReaction, str] | None:
        """Return the way to the best answer that can be reached, the answer, and the aggregate's status then."""
        best: dict[int, dict[str, SagaReaction]] = {}
        for one in reactions:
            outcomes = self.saga.acts(one.command, self.saga.aggregate, status)
            best.setdefault(min(distance(self.saga, outcome.to) for outcome in outcomes), {})[one.on] = one
        for _, wanted in sorted(best.items()):
            there = [one for on, one in wanted.items() if on in self.events]
            if there:  # it has happened, and only its receipt is awaited
                return [], there[-1], self.start
            found = self._cheapest(wanted)
            if found is not None:
                steps, answer, end = found
                return steps, wanted[answer], end
        return None

    def _cheapest(self, wanted: Collection[str]) -> tuple[list[Step], str, str] | None:
        """Return a cheapest way to one of these events; an event costs 1, and more steps win a draw."""
        nth = count()
        begun = State(self.start, frozenset(), tuple(self._pending()))
        todo: list[tuple[int, int, int, State, list[Step]]] = [(0, 0, next(nth), begun, [])]
        seen: set[State] = set()
        while todo:
            cost, _, _, state, steps = heappop(todo)
            if reached := state.made & set(wanted):
                return steps, min(reached), state.status
            if state in seen or len(steps) == LONGEST:
                continue
            seen.add(state)
            for step, after, price in self._moves(state):
                heappush(todo, (cost + price, -len(steps) - 1, next(nth), after, [*steps, step]))
        return None

    def _pending(self) -> Iterator[str]:
        reacted = {one.on for one in self.saga.reactions if one.service == self.service}
        yield from (one for one in self.events if one in reacted and (self.service, one) not in self.handled)

    def _moves(self, state: State) -> Iterator[tuple[Step, State, int]]:
        """Yield what may be decided next: the step, where it leads, and how many events it takes."""
        pending = state.pending
        while pending:
            first, pending = pending[0], pending[1:]
            reactions = [one for one in self.saga.reactions if one.service == self.service and one.on == first]
            outcomes = [one for r in reactions for one in self.saga.acts(r.command, self.kind, state.status)]
            if outcomes:
                yield from self._outcomes(state, first, None, outcomes, pending)
                return
        for task in sorted(self.saga.tasks, key=lambda one: one.on not in state.made):  # what was asked last first
            if task.service == self.service and task.on in {*self.events, *state.made}:
                outcomes = [one for name in task.commands for one in self.saga.acts(name, self.kind, state.status)]
                yield from self._outcomes(state, task.on, task.task, outcomes, pending)

    def _outcomes(
        self, state: State, on: str, task: str | None, outcomes: Sequence[SagaDecision], pending: tuple[str, ...]
    ) -> Iterator[tuple[Step, State, int]]:
        told = {", ".join(map(short, one.events)) for one in outcomes}
        for one in outcomes:
            made = [short(event) for event in one.events]
            step = Step(
                short_name(self.service), short(on), task, one.command, made, None, sorted(told - {", ".join(made)})
            )
            yield step, State(one.to, state.made | set(one.events), pending), len(one.events)


def distance(saga: Saga, status: str) -> int:
    """Return how far a status is from an end; any way to the wanted end is shorter than one to another."""
    own = [one for one in saga.decisions if one.aggregate == saga.aggregate]
    for nth, end in enumerate(saga.own.ends):
        reached, far = {end}, 0
        while status not in reached:
            before = {one.status for one in own if one.to in reached} | reached
            if before == reached:
                break
            reached, far = before, far + 1
        else:
            return nth * len(own) + far
    return len(own) * len(saga.own.ends)


def _followers(saga: Saga, at: Position, events: Sequence[str], steps: Sequence[Step]) -> Iterator[Step]:
    """Yield what else the saga's events lead to in other services, and has not happened there."""
    told = {(step.service, step.on) for step in steps}
    for event_type in dict.fromkeys(events):
        for one in saga.reactions:
            service = short_name(one.service)
            if one.on != event_type or (one.service, event_type) in at.handled or one.service == saga.own.service:
                continue
            if (service, short(event_type)) in told:
                continue
            yield from _following(saga, one, at)


def _following(saga: Saga, reaction: SagaReaction, at: Position) -> Iterator[Step]:
    """Yield the step of a reaction, and the tasks that its events ask for."""
    service = short_name(reaction.service)
    outcomes = [one for one in saga.decisions if one.command == reaction.command and one.service == reaction.service]
    likely = min(
        outcomes, key=lambda one: (one.status != at.status.get(one.aggregate, NONE), len(one.events)), default=None
    )
    if likely is None:
        return
    yield Step(service, short(reaction.on), None, reaction.command, [short(one) for one in likely.events])
    for task in saga.tasks:
        if task.service == reaction.service and task.on in likely.events and not task.delay_seconds:
            outcomes = [one for command in task.commands for one in saga.acts(command, likely.aggregate, likely.to)]
            made = list(dict.fromkeys(", ".join(map(short, one.events)) for one in outcomes))
            if made:
                first = [short(one) for one in outcomes[0].events]
                yield Step(service, short(task.on), task.task, outcomes[0].command, first, None, made[1:])


def _types(saga: Saga, made: Sequence[str]) -> list[str]:
    return [one.event_type for one in saga.events if one.name in set(made)]
