"""Breadth first through every state, so that the first fault found has a shortest way to it."""

import itertools
import resource
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field

from tests.model.decisions import Fault
from tests.model.scopes import Scope
from tests.model.state_space import StateSpace


@dataclass
class Found:
    """What a search has seen."""

    scope: Scope
    states: int = 0
    steps: int = 0
    depth: int = 0
    finals: int = 0
    decisions: int = 0
    seconds: float = 0
    fault: str | None = None
    trace: list[str] = field(default_factory=list)
    ends: set[str] = field(default_factory=set)
    """How orders can end: order, reservation, payment."""


class TooManyStates(Exception):
    """The bound on states was reached."""


def explore(scope: Scope, most_states: int = 20_000_000) -> Found:
    """Go through every state of the scope; stops at the first fault, with the way to it in words."""
    found, began = Found(scope), time.process_time()
    search = Search(StateSpace(scope), most_states)
    try:
        search.visit(found)
        search.look_for_traps()
    except Fault as fault:
        found.fault, found.trace = str(fault), search.trace(search.at)
    found.states, found.seconds = len(search.states), time.process_time() - began
    found.decisions = len(search.space.decisions._decided)
    return found


class Search:
    """Hold every state seen, and how it was reached first."""

    def __init__(self, space: StateSpace, most_states: int) -> None:
        self.space, self.most_states = space, most_states
        self.states = [space.start]
        self.number = {space.start: 0}
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
                raise TooManyStates(f"{found.scope.name}: more than {self.most_states} states")

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

    def trace(self, at: int) -> list[str]:
        """Return the steps that lead to a state, in words; orders that are alike keep their names."""
        path = [at]
        while path[-1]:
            path.append(self.came_from[path[-1]])
        path.reverse()
        names = [chr(ord("A") + n) for n in range(len(self.space.orders))]
        said = []
        for before, after in itertools.pairwise(path):
            who, words = self.by[after] >> 24, self.space.words[self.by[after] & 0xFFFFFF]
            said.append(f"{names[who]}: {words}" if who < len(names) and len(names) > 1 else words)
            if who < len(names) and self.space.alike:
                names = self._renamed(names, who, self.states[before], self.states[after])
        return said

    def _renamed(self, names: list[str], who: int, before: int, after: int) -> list[str]:
        """Follow the names when the orders, which are kept sorted, change places."""
        _, was = self.space.unpack(before)
        _, now = self.space.unpack(after)
        others = was[:who] + was[who + 1 :]
        moved = next(iter((Counter(now) - Counter(others)).elements()))
        pairs = [*zip(others, names[:who] + names[who + 1 :], strict=True), (moved, names[who])]
        return [name for _, name in sorted(pairs)]


def memory_mib() -> int:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
