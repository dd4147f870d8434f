"""Breadth first through every state, so that the first fault found has a shortest way to it."""

import itertools
import time
from array import array
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from waybill.testing.decisions import Fault

State = TypeVar("State", bound=Hashable)


class Step(NamedTuple, Generic[State]):
    """One step of a way: the state before, the number that says what happened, and the state after."""

    before: State
    by: int
    after: State


class StateSpace(Protocol[State]):
    """What can be searched: states, their steps, and what must hold."""

    @property
    def start(self) -> State:
        """Return the state before anything has happened."""
        ...

    @property
    def decided(self) -> int:
        """Return how many different decisions were made until now."""
        ...

    def check(self, state: State, /) -> None:
        """Raise Fault where a promise is broken."""
        ...

    def is_final(self, state: State, /) -> bool:
        """Tell whether nothing more happens by itself."""
        ...

    def ends(self, state: State, /) -> Iterable[str]:
        """Return in words what a final state is."""
        ...

    def steps(self, state: State, /) -> Iterator[tuple[int, State, bool]]:
        """Yield what can happen: a number for it, the state afterwards, and whether it happens by itself."""
        ...

    def say(self, way: Sequence[Step[State]], /) -> list[str]:
        """Return the steps in words."""
        ...


@dataclass
class Found:
    """What a search has seen."""

    name: str = ""
    states: int = 0
    steps: int = 0
    depth: int = 0
    finals: int = 0
    """States in which nothing more happens by itself."""
    decisions: int = 0
    seconds: float = 0
    """Of this process's time."""
    fault: str | None = None
    """The first broken promise; None where all of them hold."""
    trace: list[str] = field(default_factory=list[str])
    """A shortest way to it, step by step."""
    ends: set[str] = field(default_factory=set[str])
    """How it can end."""

    @property
    def story(self) -> str:
        """Return the fault and the way to it, for people; empty where there is none."""
        if self.fault is None:
            return ""
        steps = [f"{n:3} {step}" for n, step in enumerate(self.trace, 1)]
        return "\n".join([f"BROKEN: {self.fault}", "The shortest way there:", *steps])


class TooManyStates(Exception):
    """The bound on states was reached."""


def search(space: StateSpace[State], name: str, most_states: int) -> Found:
    """Go through every state of the space; stops at the first fault, with the way to it in words.

    Blocks for as long as that takes; a state takes some hundred bytes. Raises TooManyStates.
    """
    found, began = Found(name), time.process_time()
    states = _Search(space, most_states)
    try:
        states.visit(found)
        states.look_for_traps()
    except Fault as fault:
        found.fault, found.trace = str(fault), space.say(states.way(states.at))
    found.states, found.seconds = len(states.states), time.process_time() - began
    found.decisions = space.decided
    return found


class _Search(Generic[State]):
    """Hold every state seen, and how it was reached first."""

    def __init__(self, space: StateSpace[State], most_states: int) -> None:
        self.space, self.most_states = space, most_states
        start = space.start
        self.states = [start]
        self.number = {start: 0}
        self.came_from, self.by = array("I", [0]), array("I", [0])
        self.forced, self.forced_until = array("I"), array("Q")
        self.final = bytearray()
        self.at = 0

    def visit(self, found: Found) -> None:
        """Check each state and take its steps; raises Fault on the first broken promise."""
        level_ends = 1
        space, states, number = self.space, self.states, self.number
        for at, here in enumerate(states):
            self.at = at
            if at == level_ends:
                found.depth, level_ends = found.depth + 1, len(states)
            space.check(here)
            final = space.is_final(here)
            self.final.append(final)
            if final:
                found.finals += 1
                found.ends |= set(space.ends(here))
            for by, after, forced in space.steps(here):
                found.steps += 1
                there = number.get(after)
                if there is None:
                    there = number[after] = len(states)
                    states.append(after)
                    self.came_from.append(at)
                    self.by.append(by)
                if forced:
                    self.forced.append(there)
            self.forced_until.append(len(self.forced))
            if len(states) > self.most_states:
                raise TooManyStates(f"{found.name}: more than {self.most_states} states")

    def look_for_traps(self) -> None:
        """Raise Fault at the first state from which what happens by itself can lead to no end."""
        ends = bytearray(self.final)
        changed = True
        while changed:
            changed = False
            for at in range(len(ends) - 1, -1, -1):
                if not ends[at]:
                    begin = self.forced_until[at - 1] if at else 0
                    if any(ends[there] for there in self.forced[begin : self.forced_until[at]]):
                        ends[at] = changed = True
        if (trap := ends.find(0)) >= 0:
            self.at = trap
            raise Fault("from here on no end can be reached without help")

    def way(self, at: int) -> list[Step[Any]]:
        """Return the steps that lead to a state."""
        path = [at]
        while path[-1]:
            path.append(self.came_from[path[-1]])
        path.reverse()
        return [Step(self.states[a], self.by[b], self.states[b]) for a, b in itertools.pairwise(path)]
