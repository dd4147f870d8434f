"""state.json, what tools read while the stack is up, and the program that keeps its pids true.

The supervisor tells the keeper of every program that starts or ends; the keeper then asks for all pids and rewrites
`processes`. Whoever kills a process by the file's pid finds its successor there a moment later.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devstack.folder import Folder, read_json, state_locked, write_json
from devstack.processes import supervisor

if TYPE_CHECKING:
    from collections.abc import Mapping


def write(folder: Folder, content: Mapping[str, Any]) -> dict[str, Any]:
    """Write the file whole, with the pids of this moment, and return it."""
    with state_locked(folder):
        state = {**content, "processes": pids(folder)}
        write_json(folder.state_file, state)
    return state


def refresh(folder: Folder) -> None:
    """Write the pids of this moment; do nothing while the stack is not ready."""
    with state_locked(folder):
        state = read_json(folder.state_file)
        if state and state.get("processes") != (current := pids(folder)):
            write_json(folder.state_file, {**state, "processes": current})


def pids(folder: Folder) -> dict[str, int]:
    """Return the pid of each program that lives."""
    return {name: info["pid"] for name, info in sorted(supervisor.processes(folder).items()) if info["pid"]}


def keep(folder: Folder) -> None:
    """Answer the supervisor's notices until it closes our input. Blocks."""
    while True:
        # The first refresh comes before the first notice: a keeper that was killed has missed some.
        with suppress(*supervisor.AWAY):
            refresh(folder)
        sys.stdout.write("READY\n")
        sys.stdout.flush()
        header = sys.stdin.readline()
        if not header:
            return
        sys.stdin.read(int(dict(pair.split(":", 1) for pair in header.split())["len"]))
        sys.stdout.write("RESULT 2\nOK")
        sys.stdout.flush()


if __name__ == "__main__":
    keep(Folder(Path(sys.argv[1])))
