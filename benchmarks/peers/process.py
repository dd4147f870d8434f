"""A peer is a process that is held back while rows are prepared or somebody else is measured, and then let go."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from devstack.harness.stack import CHECKOUT


class Peer:
    """One program under measurement; started when made, killed at the end of its block."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self.name = name
        self.log = log
        self.environment = {**os.environ, **environment}
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                list(command), cwd=CHECKOUT, env=self.environment, stdin=stdin, stdout=stream, stderr=stream
            )

    @property
    def pid(self) -> int:
        """Return the process's id."""
        return self.process.pid

    def hold(self) -> None:
        """Freeze it: warm, connected, and doing nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def release(self, records: int = 0) -> None:  # noqa: ARG002 - for the one that has no table
        """Let it go on where it stood; `records` is how many are waiting."""
        self.process.send_signal(signal.SIGCONT)

    def settle(self) -> None:
        """Wait for what it still has to do when the topic has everything: nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it, frozen or not."""
        self.process.kill()
        self.process.wait(10)

    def fail_if_dead(self) -> None:
        """Raise AssertionError with the end of its log where it has ended."""
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")

    def tail(self) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    def peak_bytes(self) -> int:
        """Return the most memory that was resident at once since its start."""
        status = Path(f"/proc/{self.pid}/status")
        if not status.exists():  # not Linux
            return psutil.Process(self.pid).memory_info().rss
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
