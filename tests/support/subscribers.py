"""The example subscribers as processes: made from their lock files once, started, read line by line, killed."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from devstack.harness.stack import CHECKOUT
from devstack.harness.wait import wait_until
from tests.support import toolchains

EXAMPLES: Final = CHECKOUT / "examples"
PIPE_BYTES: Final = 4096
NODE: Final = (20,)
WHOM: Final = "this subscriber"
"""What is copied: not what somebody has installed or built beside it."""


def python() -> list[str]:
    """Give the command of the Python one, which needs what the project has."""
    return [sys.executable, str(EXAMPLES / "subscriber-python" / "subscriber.py")]


def node() -> list[str]:
    """Give the command of the Node one; installs its packages once."""
    toolchains.need("node", ["--version"], NODE, WHOM)
    toolchains.need("npm", ["--version"], (0,), WHOM)
    home = toolchains.made(EXAMPLES / "subscriber-node", ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"])
    return ["node", str(home / "subscriber.mjs")]


def go() -> list[str]:
    """Give the command of the Go one; downloads and builds it once."""
    return [toolchains.go(EXAMPLES / "subscriber-go", "subscriber", WHOM)]


class Subscriber:
    """One subscriber with its group and store, which outlive its processes."""

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.group = environment["GROUP"]
        self.lines: list[str] = []
        self.past: list[str] = []
        self._command = command
        self._folder = folder
        self._environment = {**os.environ, "STORE": str(folder / "store"), "INSTANCE": self.group, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""

    def start(self, **more: str) -> None:
        """Start a process; the lines of the one before are past."""
        self.past, self.lines, self._rest = self.past + self.lines, [], b""
        with (self._folder / "errors").open("ab") as errors:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment | more,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # so that it waits for us, and can be stopped in the middle
            fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def until(self, seen: Callable[[list[str]], Any], what: str, deadline_seconds: float = 60) -> None:
        """Read lines until they show what is waited for, and no further than that by a pipe's length."""

        def look() -> Any:
            self._read()
            assert self.running or seen(self.lines), f"it has ended: {self.errors}"
            return seen(self.lines)

        try:
            wait_until(look, deadline_seconds=deadline_seconds, what=what, every_seconds=0.01)
        except AssertionError as error:
            raise AssertionError(f"{self.group}: {error}; its last lines: {self.lines[-5:]}; {self.errors}") from None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def errors(self) -> str:
        return (self._folder / "errors").read_text()[-2000:]

    def places(self) -> set[str]:
        """Return topic, partition and offset of every record that its lines speak of, the past ones too."""
        return {place for line in self.past + self.lines for place in re.findall(r" (\S+/\d+/\d+) ", line)}

    def done(self, what: str) -> int:
        """Count the lines that begin so, since the last start."""
        return sum(line.startswith(f"{what} ") for line in self.lines)

    def ever(self, what: str) -> bool:
        """Say whether any line began so, the past ones too."""
        return any(line.startswith(f"{what} ") for line in self.past + self.lines)

    def kill(self) -> None:
        """End it as kill -9 does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
            self._close()

    def stop(self) -> int:
        """Stop it as an operator does; returns its exit code."""
        assert self._process is not None
        self._process.terminate()
        self.until(lambda _: not self.running, "its end", 30)
        self._read()
        return self._close()

    def show(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return what it has handled, in that order, and what it set aside; it must not be running."""
        shown = [json.loads(line) for line in self._run("show").splitlines()]
        return [entry for entry in shown if "aside" not in entry], [entry for entry in shown if "aside" in entry]

    def release(self) -> None:
        """Let it forget what it set aside; it must not be running."""
        self._run("release")

    def _run(self, verb: str) -> str:
        command = [*self._command, verb]
        done = subprocess.run(
            command, cwd=self._folder, env=self._environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        read = self._process.stdout.read(PIPE_BYTES) or b""
        *whole, self._rest = (self._rest + read).split(b"\n")
        self.lines += [line.decode() for line in whole]

    def _close(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        code, self._process = self._process.returncode, None
        return code


@contextmanager
def subscriber(command: list[str], **environment: str) -> Iterator[Subscriber]:
    """Give a subscriber that has not started, and see to it that no process of it is left."""
    with tempfile.TemporaryDirectory(prefix="waybill-subscriber-") as folder:
        given = Subscriber(command, Path(folder), environment)
        try:
            yield given
        finally:
            given.kill()
