"""A workflow engine as a peer: a program in an environment of its own that runs sagas on being told to.

It is told a line, `{"in_flight": 8, "sagas": 300}`, and answers one, `{"seconds": [0.01, …]}`: each of so many clients
starts its next saga once its last one has ended.
"""

import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from devstack.cache.artifacts import cache

HERE = Path(__file__).parent
INSTALL_SECONDS = 300
ANSWER_SECONDS = 120


def environment(name: str) -> Path:
    """Return the Python of a peer's own environment, made from `<name>.txt` where it is missing."""
    wanted = HERE / f"{name}.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache() / f"{name}-py{version}-{hashlib.sha256(wanted.read_bytes()).hexdigest()[:8]}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".venv-") as scratch:
            made = Path(scratch, "venv")
            venv.create(made, with_pip=True)
            pip = [str(made / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "--requirement", str(wanted)], check=True, timeout=INSTALL_SECONDS)
            shutil.move(made, folder)  # its python is run by path: the scripts in it would not survive this
    return folder / "bin" / "python"


class Engine:
    """Programs of one workflow engine; the first one runs the sagas."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str], **environment: str) -> subprocess.Popen[bytes]:
        """Start one of its programs."""
        with self.log.open("ab") as stream:
            started = self.processes[name] = subprocess.Popen(
                list(command),
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name == "sagas" else stream,
                stderr=stream,
            )
        return started

    def run(self, sagas: int, in_flight: int) -> list[float]:
        """Run so many sagas, so many at a time; returns the seconds that each took."""
        return self._asked({"in_flight": in_flight, "sagas": sagas})["seconds"]

    def wait_until_ready(self) -> None:
        """Return once the first saga went through."""
        self.run(1, 1)

    def _asked(self, question: Mapping[str, int]) -> dict[str, list[float]]:
        process = self.processes["sagas"]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(question).encode() + b"\n")
        process.stdin.flush()
        readable, _, _ = select.select([process.stdout], [], [], ANSWER_SECONDS)
        line = process.stdout.readline() if readable else b""
        if not line:
            raise AssertionError(f"{self.name} gave no answer:\n{self.log.read_text(errors='replace')[-3000:]}")
        return json.loads(line)

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU seconds that each of its programs has used."""
        return {name: sum(psutil.Process(one.pid).cpu_times()[:2]) for name, one in self.processes.items()}

    def hold(self) -> None:
        """Freeze it while somebody else is measured."""
        for one in self.processes.values():
            one.send_signal(signal.SIGSTOP)

    def release(self) -> None:
        """Let it go on; it is as warm as it was."""
        for one in self.processes.values():
            one.send_signal(signal.SIGCONT)
        time.sleep(0.5)  # what it missed while frozen, its timers and heartbeats, is not measured

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Kill its programs, frozen or not."""
        for one in self.processes.values():
            one.kill()
            one.wait(10)
            for pipe in (one.stdin, one.stdout):
                if pipe:
                    pipe.close()
