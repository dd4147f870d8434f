"""`make release SERVICE=order`: bring one service of the running stack to another version of the code, or back.

Without --source and --revision the checkout as it is now is released. Exit codes: 0 done, 1 refused or taken back (one
line says why), 2 usage, 128 + signal where a signal ended it, after the release was taken back.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from devstack import screen
from devstack.errors import DevstackError, Interrupted
from devstack.folder import CHECKOUT, Folder
from devstack.interruption import interruptible
from devstack.processes import supervisor
from devstack.release import sources
from devstack.release.programs import Patience, Programs
from devstack.release.rolling import SEQUENCE
from devstack.release.steps import Release
from devstack.services import EVERY

if TYPE_CHECKING:
    from collections.abc import Sequence

READY_SECONDS = 120
STEADY_SECONDS = 2


def parser() -> argparse.ArgumentParser:
    """Return the command line's shape."""
    top = argparse.ArgumentParser(prog="python -m devstack.release", description=(__doc__ or "").splitlines()[0])
    top.add_argument("service", help=f"one of {', '.join(EVERY)}")
    code = top.add_mutually_exclusive_group()
    code.add_argument("--source", type=Path, metavar="FOLDER", help="release the code of another checkout")
    code.add_argument("--revision", help="release a commit, tag or branch of this checkout")
    code.add_argument("--roll-back", action="store_true", help="take the last release back, complete or half done")
    code.add_argument("--contract", action="store_true", help="run the migrations named NNNN_contract_…")
    code.add_argument("--check", action="store_true", help="check the checkout's contracts and migrations only")
    top.add_argument("--until", choices=SEQUENCE, default="", help="stop behind this program: old and new side by side")
    seconds = {"type": float, "metavar": "SECONDS"}
    top.add_argument(
        "--ready", default=READY_SECONDS, help="for a program to be ready (default: %(default)s)", **seconds
    )
    top.add_argument(
        "--steady", default=STEADY_SECONDS, help="for which it must stay so (default: %(default)s)", **seconds
    )
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Release, and return the exit code."""
    given = parser().parse_args(arguments)
    interruptible()
    try:
        run(Folder.find(), given)
    except DevstackError as error:
        screen.complain(str(error), error.details)
        return 1
    except Interrupted as interrupted:
        screen.say("taken back")
        return 128 + interrupted.signal_number
    return 0


def run(folder: Folder, given: argparse.Namespace) -> None:
    """Do what was asked for, alone on this stack. Raises DevstackError."""
    service = EVERY.get(given.service)
    if service is None:
        raise DevstackError(f"no service is called {given.service!r}; choose from {', '.join(EVERY)}")
    if given.until and given.until not in service.programs:
        raise DevstackError(f"{service.name} has no {given.until}; it has {', '.join(service.programs)}")
    if not supervisor.is_running(folder):
        raise DevstackError(f"nothing is running in {folder.path}; start it with make up")
    with folder.locked():
        programs = Programs(folder)
        if not programs.names(service.name):
            raise DevstackError(f"this stack runs no program of {service.name}; start all of it with make up")
        release = Release(folder, service, programs, Patience(given.ready, given.steady))
        if given.roll_back:
            release.back()
        elif given.contract:
            release.contract()
        else:
            source = (
                sources.of_revision(folder, service, given.revision)
                if given.revision
                else sources.taken(folder, service, given.source or CHECKOUT)
            )
            release.check(source) if given.check else release.forward(source, until=given.until)
    screen.say("done")


if __name__ == "__main__":
    sys.exit(main())
