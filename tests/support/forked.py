"""The `outbox` command in a process of its own that is forked with its modules loaded: a start takes no half second."""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from outbox_relay.cli import command

FORKS: Final = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def run_outbox(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, timeout_seconds: float
) -> tuple[int, str, str]:
    """Run it to its end; returns exit code, stdout and stderr. Raises TimeoutError."""
    with tempfile.TemporaryDirectory() as kept:
        out, err = Path(kept) / "out", Path(kept) / "err"
        process = FORKS.Process(target=_command, args=(arguments, dict(environment), folder, out, err))
        process.start()
        process.join(timeout_seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"outbox {' '.join(arguments)}: not within {timeout_seconds} s; {err.read_text()}")
        return process.exitcode, out.read_text(), err.read_text()


def _command(arguments: Sequence[str], environment: Mapping[str, str], folder: Path, out: Path, err: Path) -> None:
    for path, stream in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, stream)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["outbox", *arguments]
    command.main(arguments)
