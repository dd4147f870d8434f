"""Bring a service's programs to other code, one after the other, while orders are under way.

A web program is replaced in four steps, so that one is always there to answer: another with the new code starts on the
same port and gets ready; the old one is stopped and answers what it took; the program itself starts with the new code;
the other one is stopped. Consumers, workers and relays are restarted in place: what they do waits meanwhile, in Kafka
or in a table, and two of one name may not be there at once.

Whatever fails on the way, everything that was changed is taken back in the opposite sequence, a signal included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from devstack import screen
from devstack.errors import DevstackError
from devstack.release.programs import BESIDE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from devstack.release.programs import Patience, Programs

SEQUENCE = ("web", "consumer", "worker", "relay")


def in_sequence(names: Sequence[str]) -> list[str]:
    """Return the programs in the sequence in which they are released."""
    return sorted(names, key=lambda name: SEQUENCE.index(name.partition(".")[2]))


def roll(programs: Programs, names: Sequence[str], source: Path, patience: Patience) -> None:
    """Bring the programs to the source's code, or all of them back to what they ran.

    Raises:
        DevstackError: one did not get ready; what each ran before runs again.

    """
    before = {name: programs.source(name) for name in names}
    changed: list[str] = []
    try:
        for name in names:
            changed.append(name)
            renew(programs, name, source, patience)
            screen.say(f"{name}: ready with {source.name}")
    except BaseException as error:
        screen.say(f"{changed[-1]} failed; taking back {', '.join(reversed(changed))}")
        for name in reversed(changed):
            if programs.source(name) != before[name]:
                renew(programs, name, before[name], patience)
                screen.say(f"{name}: ready with {before[name].name}")
        if isinstance(error, DevstackError):
            raise DevstackError(f"taken back: {error}", error.details) from None
        raise


def renew(programs: Programs, name: str, source: Path, patience: Patience) -> None:
    """Let the program run the source's code; where it does not get ready, what it ran before runs again."""
    before = programs.source(name)
    is_web = name.endswith(".web")
    try:
        if is_web:
            programs.start_beside(name, source, patience)
        try:
            programs.restart(name, source, patience)
        except BaseException:
            programs.restart(name, before, patience)
            raise
    finally:
        if is_web:
            programs.end_beside(name)


def clear(programs: Programs, names: Sequence[str], patience: Patience) -> None:
    """End what a release that was killed has left beside a program, once the program itself is ready."""
    for name in names:
        if programs.is_there(f"{name}{BESIDE}"):
            programs.restart(name, programs.source(name), patience)
            programs.end_beside(name)
