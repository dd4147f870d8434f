"""The seam between the library and an application: what a service is made of, and what follows from it.

A service is three modules: `domain` decides, `reactions` turn events into commands, `models` hold the rows; `worker`,
where there is one, does what is due. (`api` imports the service: the web program alone needs it.) What the library
calls in them is typed by protocols.
Nothing is declared twice: the topics to consume follow from the events reacted to, and what a worker has to do follows
from the events that ask for it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any, Protocol, TypeVar, get_args

from waybill.contracts.event import Event
from waybill.deciders.outcomes import Decision

Key = Any  # the primary key of a row: str or UUID
Rows = Mapping[str, Mapping[Key, Any]]  # aggregate type → key → row or None


class Command(Protocol):
    """Ask for something to be done; says which rows it is decided on."""

    def rows(self) -> Mapping[str, Sequence[Key]]:
        """Return aggregate type → keys. The first key of the first type is the aggregate that the command is for."""
        ...


class Copy:
    """State a fact of another service that is kept as it came: a row, decided by nobody here.

    A reaction returns it for any event, whatever came before: the version that the event carries decides what is kept.
    """


class Domain(Protocol):
    """The decisions of a service: pure, without a clock, a random id, a database or a broker."""

    def decide(self, command: Any, state: Any, /) -> Decision:
        """Return what follows from the command, for every pair of command and status."""
        ...

    def evolve(self, state: Any, event: Any, /) -> Any:
        """Return the state after the event."""
        ...


class Models(Protocol):
    """The rows of a service: Django models, each with its `aggregate_type`, and the bridge to the state."""

    def to_state(self, rows: Rows, /) -> Any:
        """Return the state that these rows hold; an aggregate without a row has not begun."""
        ...

    def to_rows(self, state: Any, /) -> Iterable[Any]:
        """Return new rows that hold the state, or the copy, without versions and times."""
        ...


class Versioned(Protocol):
    """A message, as far as a reaction may want to know it."""

    @property
    def version(self) -> int:
        """Return the version that the event gave its aggregate. Raises Unreadable."""
        ...


Reaction = Callable[..., Command | Copy | None]
Attempt = Callable[[Any, Any, "Tried"], Command | None]
Settle = Callable[[Any, "Settlement"], Command]
Marked = TypeVar("Marked", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Tried:
    """What came before an attempt, as the database knows it."""

    times: int = 1
    """How many there were, this one counted."""
    seconds: float = 0
    """Since the first one, by the database's clock."""
    look_up_only: bool = False
    """Whether an earlier one raised OutcomeUnknown."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an operator says of a task that no attempt can end."""

    reference: str | None
    """Under which it was done elsewhere; None: it will never be done, and is written off."""


@dataclass(frozen=True, slots=True)
class Task:
    """Something a worker does for one aggregate once an event asked for it."""

    name: str
    event: type[Event]
    delay: timedelta
    attempt: Attempt
    on_replay: Attempt
    remediation: str
    long_retries: bool
    movable: bool = False
    on_cancel: Attempt | None = None


def on(event: type[Event]) -> Callable[[Marked], Marked]:
    """Mark a function as the reaction to an event.

    Where its second parameter is `version`, that is the version which the event gave its aggregate: of use for state
    that is told again and again, and of which an older one must not follow a newer one.
    """

    def mark(function: Marked) -> Marked:
        function.__dict__["reacts_to"] = event
        return function

    return mark


def after(  # noqa: PLR0913 - each says how the task is, by name
    event: type[Event],
    *,
    delay: timedelta | Callable[[], timedelta] = timedelta(),
    on_replay: Attempt | None = None,
    remediation: str = "",
    long_retries: bool = False,
    movable: bool = False,
    on_cancel: Attempt | None = None,
) -> Callable[[Marked], Marked]:
    """Mark a worker's function as due for the aggregate `delay` after the event was recorded.

    A delay that a setting gives is passed as a function, which is called when the service is first used.

    The function takes the aggregate's state, the event and what came before, may block and may be called twice; it
    returns the command that tells what came of it, or None where there is nothing left to do. It raises Unavailable to
    be called again, and NeedsAttention where only an operator can help; `remediation` tells that operator how.
    `on_replay` is called in its place where a replay led to the event: for what must not reach the outside twice.
    `long_retries` says that attempts may fail for hours by no fault of ours, and the function gives up itself: nobody
    is called, and a row counts as late only while it waits for its attempt.
    `movable` says that an operator may choose another time for it (`outbox reschedule`): a deadline, mostly, which is
    right whenever it comes. `on_cancel` is what an operator's `outbox cancel-task` records in place of an attempt, so
    that the aggregate ends all the same; a task without it cannot be cancelled.
    """

    def mark(function: Marked) -> Marked:
        delay_of = delay if callable(delay) else lambda: delay
        function.__dict__["due_after"] = (
            event,
            delay_of,
            on_replay or function,
            remediation,
            long_retries,
            movable,
            on_cancel,
        )
        return function

    return mark


def settles(task: Attempt) -> Callable[[Marked], Marked]:
    """Mark a function as what an operator may end the task with: `outbox settle`.

    The function takes the aggregate's state and the Settlement, and returns the command that records it.
    """

    def mark(function: Marked) -> Marked:
        function.__dict__["settles"] = task.__name__
        return function

    return mark


def reacted(reaction: Reaction, event: Event, message: Versioned) -> Command | Copy | None:
    """Return what a reaction makes of an event. Raises Unreadable where it wants a version that is not there."""
    return reaction(event, message.version) if "version" in reaction.__annotations__ else reaction(event)


def command_of(reaction: Reaction) -> type:
    """Return the type of command, or copy, that a reaction returns, by its annotation."""
    returned = reaction.__annotations__["return"]
    kinds = [kind for kind in get_args(returned) or (returned,) if kind is not NoneType]
    return kinds[0]


@dataclass(frozen=True)
class Service:
    """Hold the modules of a service and what follows from them.

    `reactions` and `worker` are modules of functions marked with `on`, `after` and `settles`. `open_breakers` returns
    task → whether the circuit breaker of its calls is open, for the tasks that have one.
    """

    name: str
    domain: Domain
    reactions: ModuleType
    models: Models
    worker: ModuleType | None = None
    open_breakers: Callable[[], Mapping[str, bool]] = dict

    @property
    def files(self) -> list[Path]:
        """Return the files of what decides and of what keeps the rows."""
        return [file for module in (self.domain, self.models) for file in _files(vars(module))]

    @cached_property
    def tables(self) -> dict[str, Any]:
        """Return aggregate type → Django model."""
        declared = vars(self.models)
        own = (m for m in declared.values() if getattr(m, "__module__", None) == declared["__name__"])
        return {m.aggregate_type: m for m in own if hasattr(m, "aggregate_type")}

    @cached_property
    def reaction_to(self) -> dict[str, tuple[type[Event], Reaction]]:
        """Return event type → (event class, reaction)."""
        found: dict[str, tuple[type[Event], Reaction]] = {}
        for function in vars(self.reactions).values():
            event = getattr(function, "reacts_to", None)
            if event is None:
                continue
            if event.event_type in found:
                raise TypeError(f"{self.name}: two reactions to {event.event_type}; one event, one reaction")
            found[event.event_type] = (event, function)
        return found

    def react(self, event: Event, message: Versioned) -> Command | Copy | None:
        """Return what follows from an event that there is a reaction to. Raises Unreadable."""
        _, reaction = self.reaction_to[event.event_type]
        return reacted(reaction, event, message)

    @cached_property
    def topics(self) -> list[str]:
        """Return the topics to consume."""
        return sorted({event.topic for event, _ in self.reaction_to.values() if event.topic})

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """Return task name → what the worker does."""
        functions = vars(self.worker).values() if self.worker else ()
        marked = [f for f in functions if hasattr(f, "due_after")]
        return {
            f.__name__: Task(f.__name__, event, delay_of(), f, *how)
            for f in marked
            for event, delay_of, *how in (f.due_after,)
        }

    @cached_property
    def settles(self) -> tuple[Task, Settle] | None:
        """Return the task that an operator may settle and what makes a command of it, where there is one."""
        functions = vars(self.worker).values() if self.worker else ()
        marked = [(self.tasks[f.settles], f) for f in functions if hasattr(f, "settles")]
        if len(marked) > 1:
            raise TypeError(f"{self.name}: two tasks to settle; a key would not say which is meant")
        return marked[0] if marked else None

    @cached_property
    def due_after(self) -> dict[type[Event], list[Task]]:
        """Return event class → the tasks that it asks for."""
        found: dict[type[Event], list[Task]] = {}
        for task in self.tasks.values():
            found.setdefault(task.event, []).append(task)
        return found


def _files(module: Mapping[str, Any]) -> list[Path]:
    """Return a module's file; of a package, those of all its modules."""
    file = Path(module["__file__"])
    return sorted(file.parent.rglob("*.py")) if "__path__" in module else [file]
