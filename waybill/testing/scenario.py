"""given(events).when(command).then(outcome): states are reached by events, never built by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from waybill.deciders.outcomes import Ignored, Refused


@dataclass(frozen=True)
class Decided:
    """What was decided, and the state it was decided on."""

    decision: Any
    state: Any

    def then(self, *expected: Any) -> None:
        """Expect exactly these events, or the kind of outcome (Ignored, Refused, a Refused with this code)."""
        if expected in ((Ignored,), (Refused,)):
            assert isinstance(self.decision, expected[0]), self.decision
        elif len(expected) == 1 and isinstance(expected[0], str):
            assert isinstance(self.decision, Refused), self.decision
            assert self.decision.code == expected[0]
        else:
            assert not isinstance(self.decision, Ignored | Refused), self.decision
            assert list(self.decision) == list(expected)


@dataclass(frozen=True)
class Scenario:
    """A state, reached by events."""

    decide: Callable[[Any, Any], Any]
    evolve: Callable[[Any, Any], Any]
    state: Any

    def given(self, *events: Any) -> "Scenario":
        """Let these events have happened."""
        state = self.state
        for event in events:
            state = self.evolve(state, event)
        return Scenario(self.decide, self.evolve, state)

    def when(self, command: Any) -> Decided:
        """Decide on the command."""
        return Decided(self.decide(command, self.state), self.state)
