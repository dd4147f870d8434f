"""Every interleaving of a saga: what clients ask, what services read, and what falls due, in every sequence.

The model. Each service decides by its own code, on rows in memory. A request is made once, at any point, or never. A
service reads the events of one aggregate in their sequence, those of different aggregates in any, and each when it
likes. A due task is attempted at any point after the event that asked for it: a clock may be slow, so its delay counts
for nothing. With `again` a message may come again, past the inbox, at any point and any number of times. With
`dead_letters` the handling of any message may fail: it and later ones of its key wait, and are redriven at any point.

What must hold. In every state: `always`; each row is the fold of its events; no message's command is refused. From
every state an end can be reached by what happens by itself, without another request. At such an end, where no message
waits and nothing is due: `at_the_end`.

Left out, because it decides nothing: copies of another service's data. What a task's attempt meets outside is told by
`outcomes`; without, the attempt itself is called, once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from waybill.deciders.decision import RowId
from waybill.deciders.outcomes import NeedsAttention, Unavailable
from waybill.deciders.service import Attempt, Command, Copy, Service, Task, Tried
from waybill.testing.decisions import NO_ROW, Decisions, Fault, Numbered, Outcome
from waybill.testing.search import Found, Step, search

LONGEST_QUEUE: Final = 24  # events of one aggregate: with more, something goes round in circles
Rows = Mapping[RowId, Any]
"""(aggregate type, key as text) → row, of all services."""
Check = Callable[[Rows], object]
Outcomes = Callable[[Any, Any], Iterable[Command | None]]


class Request(NamedTuple):
    """A command that a client may give to a service."""

    service: Service
    command: Command


def explore(  # noqa: PLR0913 - each is a part of the model
    *services: Service,
    requests: Sequence[Request],
    always: Check | None = None,
    at_the_end: Check | None = None,
    again: bool = False,
    dead_letters: bool = False,
    outcomes: Mapping[Attempt, Outcomes] | None = None,
    most_states: int = 1_000_000,
) -> Found:
    """Search every interleaving; stops at the first broken promise, with a shortest way to it (`Found.story`).

    `always` and `at_the_end` take the rows and fail by `assert`. `outcomes`: a worker's function → what may come of an
    attempt, given state and event: commands, or None where nothing is left to do. Blocks for as long as it takes; a
    state takes about a kilobyte.

    Raises:
        TooManyStates: There are more than `most_states`.

    """
    rules = Rules(requests, always, at_the_end, again, dead_letters, outcomes or {})
    return search(Saga(services, rules), " and ".join(service.name for service in services), most_states)


@dataclass(frozen=True, slots=True)
class Rules:
    """What may happen in a saga, and what must hold; as `explore` takes it."""

    requests: Sequence[Request]
    always: Check | None
    at_the_end: Check | None
    again: bool
    dead_letters: bool
    outcomes: Mapping[Attempt, Outcomes]


class QueueId(NamedTuple):
    """Who reads what: the events of one aggregate on one topic, which come in their sequence."""

    reader: str
    topic: str
    key: str


class Queue(NamedTuple):
    """What one reader has of it, as numbers of events."""

    seen: tuple[int, ...] = ()
    dead: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()


class Due(NamedTuple):
    """A task of a service, the row that it is for, and the event that asked for it."""

    service: str
    task: str
    row_id: RowId
    event: int


class State(NamedTuple):
    """Everything at one moment; sorted, so that equal states are one."""

    rows: tuple[tuple[str, RowId, int], ...] = ()
    queues: tuple[tuple[QueueId, Queue], ...] = ()
    due: tuple[Due, ...] = ()
    made: frozenset[int] = frozenset()
    """Which requests."""


class Saga:
    """The state space of some services, by rules."""

    def __init__(self, services: Sequence[Service], rules: Rules) -> None:
        """Begin with no rows. Raises ValueError where a request is for a service that is not among these."""
        self.start = State()
        self._rules = rules
        self._decisions = Decisions({service.name: service for service in services})
        self._words: Numbered[str] = Numbered()
        self._checked: set[tuple[bool, tuple[tuple[str, RowId, int], ...]]] = set()
        for request in rules.requests:
            if request.service.name not in self._decisions.services:
                raise ValueError(f"{request.command!r} is for {request.service.name}, which is not explored")

    @property
    def decided(self) -> int:
        """Return how many different decisions were made until now."""
        return len(self._decisions)

    def check(self, state: State) -> None:
        """Raise Fault where an invariant is broken."""
        self._hold(self._rules.always, state, final=False)
        if self.is_final(state):
            self._hold(self._rules.at_the_end, state, final=True)

    def is_final(self, state: State) -> bool:
        """Tell whether no message waits and nothing is due."""
        return not state.due and not any(queue.waiting or queue.dead for _, queue in state.queues)

    def ends(self, state: State) -> list[str]:
        """Return the rows with their statuses."""
        rows = self._rows(state)
        return [", ".join(f"{kind} {key} {getattr(row, 'status', '')}".strip() for (kind, key), row in rows.items())]

    def steps(self, state: State) -> Iterator[tuple[int, State, bool]]:
        """Yield everything that can happen."""
        for says, after, forced in (*self._asked(state), *self._read(state), *self._attempted(state)):
            yield self._words(says), after, forced

    def say(self, way: Sequence[Step[State]]) -> list[str]:
        """Return the steps in words."""
        return [self._words[step.by] for step in way]

    def _hold(self, check: Check | None, state: State, *, final: bool) -> None:
        if check is None or (final, state.rows) in self._checked:
            return
        self._checked.add((final, state.rows))
        try:
            check(self._rows(state))
        except AssertionError as error:
            raise Fault(str(error) or f"{check.__name__} does not hold") from None

    def _rows(self, state: State) -> dict[RowId, Any]:
        return {row_id: self._decisions.rows[number] for _, row_id, number in state.rows}

    def _asked(self, state: State) -> Iterator[tuple[str, State, bool]]:
        for n, request in enumerate(self._rules.requests):
            if n not in state.made:
                made = state._replace(made=state.made | {n})
                outcome, after = self._handle(made, request.service.name, self._decisions.commands(request.command))
                yield f"a client: {_name(request.command)}: {outcome.says}", after, False

    def _read(self, state: State) -> Iterator[tuple[str, State, bool]]:
        for queue_id, queue in state.queues:
            name = self._decisions.events
            if queue.dead:
                event, *rest = queue.dead
                after = queue._replace(dead=tuple(rest), seen=self._seen(queue, event))
                yield self._handled(state, queue_id, after, event, f"{queue_id.reader} redrives {_name(name[event])}")
            elif queue.waiting:
                event, *rest = queue.waiting
                after = queue._replace(waiting=tuple(rest), seen=self._seen(queue, event))
                yield self._handled(state, queue_id, after, event, f"{queue_id.reader} reads {_name(name[event])}")
            if queue.waiting and (self._rules.dead_letters or queue.dead):
                event, *rest = queue.waiting
                after = queue._replace(waiting=tuple(rest), dead=(*queue.dead, event))
                behind = " behind another" if queue.dead else ": its handling fails"
                says = f"{queue_id.reader} makes a dead letter of {_name(name[event])}{behind}"
                yield says, _put(state, queue_id, after), bool(queue.dead)
            for event in queue.seen:
                says = f"{queue_id.reader} reads {_name(name[event])} again"
                said, after_it, _ = self._handled(state, queue_id, queue, event, says)
                yield said, after_it, False

    def _seen(self, queue: Queue, event: int) -> tuple[int, ...]:
        return tuple(sorted({*queue.seen, event})) if self._rules.again else ()

    def _handled(self, state: State, queue_id: QueueId, queue: Queue, event: int, says: str) -> tuple[str, State, bool]:
        command = self._decisions.reaction(queue_id.reader, event)
        assert command is not None  # events that nobody reacts to are in no queue
        outcome, after = self._handle(_put(state, queue_id, queue), queue_id.reader, command)
        if outcome.refused:
            raise Fault(f"{says}: {outcome.says}")
        return f"{says}: {outcome.says}", after, True

    def _attempted(self, state: State) -> Iterator[tuple[str, State, bool]]:
        for due in state.due:
            without = state._replace(due=tuple(one for one in state.due if one != due))
            for command in self._outcomes(state, due):
                if command is None:
                    yield f"{due.service} has nothing left to do for {due.task}", without, True
                    continue
                outcome, after = self._handle(without, due.service, self._decisions.commands(command))
                says = f"{due.service} attempts {due.task}: {_name(command)}: {outcome.says}"
                if outcome.refused:
                    raise Fault(says)
                yield says, after, True

    def _outcomes(self, state: State, due: Due) -> Iterable[Command | None]:
        task: Task = self._decisions.services[due.service].tasks[due.task]
        number = next((row for service, row_id, row in state.rows if (service, row_id) == due[::2]), NO_ROW)
        given = self._decisions.state(due.service, due.row_id, number)
        event = self._decisions.events[due.event]
        if told := self._rules.outcomes.get(task.attempt):
            return told(given, event)
        try:
            return [task.attempt(given, event, Tried())]
        except (Unavailable, NeedsAttention) as error:
            raise Fault(
                f"{due.service} attempts {due.task}: {type(error).__name__}: {error}; tell by `outcomes` what may come "
                "of it"
            ) from None

    def _handle(self, state: State, service: str, command: int) -> tuple[Outcome, State]:
        """Return what comes of a command, and the state with the rows, messages and due tasks that follow."""
        numbers = {(owner, row_id): number for owner, row_id, number in state.rows}
        asked: Any = self._decisions.commands[command]
        wanted = [(kind, str(key)) for kind, keys in asked.rows().items() for key in keys]
        known = tuple((row_id, numbers.get((service, row_id), NO_ROW)) for row_id in wanted)
        outcome = self._decisions.handle(service, command, known)
        if not outcome.events:
            return outcome, state
        numbers |= {(service, row_id): number for row_id, number in outcome.changed}
        queues, due = dict(state.queues), {*state.due}
        for number in outcome.events:
            for queue_id in self._readers(number):
                queues[queue_id] = _sent(queues.get(queue_id, Queue()), number)
            due |= {*self._due(service, number)}
        rows = sorted((owner, row_id, number) for (owner, row_id), number in numbers.items())
        return outcome, state._replace(rows=tuple(rows), queues=tuple(sorted(queues.items())), due=tuple(sorted(due)))

    def _readers(self, number: int) -> Iterator[QueueId]:
        event = self._decisions.events[number]
        for name in self._decisions.services if event.topic else ():
            command = self._decisions.reaction(name, number)
            if command is not None and not isinstance(self._decisions.commands[command], Copy):
                yield QueueId(name, str(event.topic), event.aggregate_id)

    def _due(self, service: str, number: int) -> Iterator[Due]:
        event = self._decisions.events[number]
        for task in self._decisions.services[service].due_after.get(type(event), ()):
            yield Due(service, task.name, (event.aggregate_type, event.aggregate_id), number)


def _put(state: State, queue_id: QueueId, queue: Queue) -> State:
    return state._replace(queues=tuple(sorted({**dict(state.queues), queue_id: queue}.items())))


def _sent(queue: Queue, event: int) -> Queue:
    if len(queue.dead) + len(queue.waiting) > LONGEST_QUEUE:
        raise Fault("events without end")
    return queue._replace(waiting=(*queue.waiting, event))


def _name(thing: object) -> str:
    return type(thing).__name__
