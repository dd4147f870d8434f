"""The shop's orders, searched."""

import resource

from tests.model.scopes import Scope
from tests.model.state_space import StateSpace
from waybill.testing.search import Found, search


def explore(scope: Scope, most_states: int = 20_000_000) -> Found:
    """Go through every state of the scope; stops at the first fault, with the way to it in words."""
    return search(StateSpace(scope), scope.name, most_states)


def memory_mib() -> int:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
