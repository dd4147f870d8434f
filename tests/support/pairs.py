"""Every command against every state that events can lead to."""

from collections.abc import Callable, Iterable
from typing import Any

from waybill.deciders.outcomes import Ignored, Refused


def reachable(decide: Callable[..., Any], evolve: Callable[..., Any], start: Any, commands: Iterable[Any]) -> set[Any]:
    """Return the states that these commands can lead to from the start, in any sequence and any number."""
    commands = list(commands)
    seen, todo = {start}, [start]
    while todo:
        state = todo.pop()
        for command in commands:
            decision = decide(command, state)
            if isinstance(decision, Ignored | Refused):
                continue
            after = state
            for event in decision:
                after = evolve(after, event)
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return seen
