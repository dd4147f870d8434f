"""`make model`: goes through every state of the bounded scopes and says what it found."""

import argparse
import sys
from collections.abc import Sequence

import catalogue.configured  # noqa: F401 - configures Django, whose rows the deciders' states come from
from tests.model.mutants import MUTANTS
from tests.model.scopes import BOUND, DEEP, Scope
from tests.model.search import explore, memory_mib
from waybill.testing import Found, TooManyStates

EPILOG = """\
exit codes: 0 every promise kept (or: every mutant caught), 1 one broken, 2 usage, 3 more states than allowed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Explore what is asked for; return the exit code."""
    chosen = _parser().parse_args(arguments)
    if chosen.mutants:
        return _mutants()
    every = {scope.name: scope for scope in (*BOUND, *DEEP)}
    unknown = [name for name in chosen.scope if name not in every]
    if unknown:
        sys.stderr.write(f"model: there is no scope {unknown[0]}; there are {', '.join(every)}\n")
        return 2
    scopes = [every[name] for name in chosen.scope] or [*BOUND, *(DEEP if chosen.deep else ())]
    try:
        return _explore(scopes, chosen.most_states)
    except TooManyStates as error:
        sys.stderr.write(f"model: {error}; --most-states allows more, at about 200 bytes each\n")
        return 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__, epilog=EPILOG)
    parser.add_argument("scope", nargs="*", help="scopes to go through (default: those of `make test-all`)")
    parser.add_argument("--deep", action="store_true", help="the deeper scopes too: some minutes, 1 GB")
    parser.add_argument("--mutants", action="store_true", help="instead, show the shortest way to each seeded slip")
    parser.add_argument("--most-states", type=int, default=50_000_000, metavar="N", help="give up at N (%(default)s)")
    return parser


def _explore(scopes: Sequence[Scope], most_states: int) -> int:
    found = []
    for scope in scopes:
        _say(f"{scope.name}: {scope.says}")
        found.append(explore(scope, most_states))
        _say(f"  {_figures(found[-1])}")
        if found[-1].fault:
            _say(*_story(found[-1]))
            return 1
    _say(
        f"{sum(f.states for f in found):,} states in {sum(f.seconds for f in found):.0f} s of CPU "
        f"and {memory_mib()} MiB: every invariant holds, and from every state an end is reached without help"
    )
    return 0


def _mutants() -> int:
    missed = 0
    for mutant in MUTANTS:
        with mutant.applied():
            found = explore(mutant.scope)
        _say(f"{mutant.name}:")
        caught = mutant.caught in (found.fault or "")
        _say(*(_story(found) if found.fault else ["  nothing found"]))
        _say("" if caught else f"  MISSED: {mutant.caught}")
        missed += not caught
    _say(f"{len(MUTANTS) - missed} of {len(MUTANTS)} mutants caught")
    return 1 if missed else 0


def _figures(found: Found) -> str:
    return (
        f"{found.states:,} states, {found.steps:,} steps, depth {found.depth}, {found.finals:,} final, "
        f"{found.decisions:,} different decisions, {found.seconds:.1f} s"
    )


def _story(found: Found) -> list[str]:
    return [f"  {line}" for line in found.story.splitlines()]


def _say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
