"""When what goes wrong: seeded, alone at first, two at a time in the later part of a run.

Given time for it (half an hour), every fault comes three times: twice alone and then beside another. A shorter run
takes the quick ones alone at first, then two at a time; with those that take long where all of them fit.
"""

from collections.abc import Sequence
from random import Random

from tests.chaos.faults import Fault

TIMES = 3
PAUSE_SECONDS = 1.0  # between two faults, so that orders are in flight again
ALONE_SHARE = 0.4  # of a short run


Step = tuple[Fault, ...]


def steps(faults: Sequence[Fault], seconds: float, rng: Random) -> list[Step]:
    """Return what to inject, one after the other; takes about `seconds`, and never less than it takes to fill them."""
    whole = _rounds(faults, rng)
    if sum(map(duration, whole)) <= seconds:
        while sum(map(duration, whole)) < seconds:
            whole += _pairs(_shuffled(faults, rng), rng)
        return _cut(whole, seconds, at_least=len(_rounds(faults, Random(0))))
    quick = [fault for fault in faults if fault.is_quick]
    if not quick:
        return _cut(whole, seconds)
    alone = _cut([(fault,) for fault in _shuffled(quick, rng)], seconds * ALONE_SHARE)
    together_seconds = seconds * (1 - ALONE_SHARE)
    # What has not been yet comes first, and what takes long only where all of it fits.
    done = {fault.name for step in alone for fault in step}
    left = [fault for fault in _shuffled(faults, rng) if fault.name not in done]
    if sum(map(duration, _pairs(left, rng))) > together_seconds:
        left = [fault for fault in left if fault.is_quick]
    together = _pairs(left, rng)
    while sum(map(duration, together)) < together_seconds:
        together += _pairs(_shuffled(quick, rng), rng)
    return alone + _cut(together, together_seconds)


def duration(step: Step) -> float:
    """Return about how many seconds a step takes."""
    return max(fault.seconds for fault in step) + PAUSE_SECONDS


def _rounds(faults: Sequence[Fault], rng: Random) -> list[Step]:
    alone = [(fault,) for _ in range(TIMES - 1) for fault in _shuffled(faults, rng)]
    return alone + _pairs(_shuffled(faults, rng), rng)


def _pairs(faults: Sequence[Fault], rng: Random) -> list[Step]:
    """Pair the faults by how long they take, so that two are at work most of the time, in a random order."""
    by_length = sorted(faults, key=lambda fault: fault.seconds)
    found: list[Step] = [tuple(by_length[n : n + 2]) for n in range(0, len(by_length), 2)]
    return rng.sample(found, len(found))


def _shuffled(faults: Sequence[Fault], rng: Random) -> list[Fault]:
    return rng.sample(list(faults), len(faults))


def _cut(planned: Sequence[Step], seconds: float, at_least: int = 1) -> list[Step]:
    taken: list[Step] = []
    for step in planned:
        if len(taken) >= at_least and sum(map(duration, taken)) + duration(step) > seconds:
            break
        taken.append(step)
    return taken
