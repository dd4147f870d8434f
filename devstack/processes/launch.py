"""Start parts and do steps, each as soon as what it needs is ready; the first failure ends all.

One thread a task: it waits for the tasks it needs, starts its program, asks until it is ready. What takes its time is
the programs' own start, so nothing is gained by anything cleverer.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections import defaultdict, deque
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TYPE_CHECKING

from devstack.errors import DevstackError
from devstack.folder import CHECKOUT
from devstack.parts import Part, Step, inherited
from devstack.processes import leftovers, probes, supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from devstack.folder import Folder

POLL_SECONDS = 0.2
DEATHS_POLL_SECONDS = 0.5
# A program may end once or twice while it starts, as while a killed server's memory is still being given back.
DEATHS_ALLOWED = 2
LOG_LINES = 12


class Cancelled(Exception):
    """Give up waiting: another task failed, or the user wants to stop."""


class Launch:
    """Bring up a plan of parts and steps."""

    def __init__(
        self,
        folder: Folder,
        plan: Sequence[Part | Step],
        functions: Mapping[str, Callable[[], None]],
        report: Callable[[str, float], None],
    ) -> None:
        self.folder = folder
        self.plan = plan
        self.functions = functions
        self.report = report
        self.cancelled = threading.Event()
        self.futures: dict[str, Future[None]] = {}
        self.starts: dict[str, set[int]] = defaultdict(set)  # when each program was started
        self.looked_at = 0.0

    def run(self) -> None:
        """Return once everything is ready. May block for minutes; a signal's exception passes through.

        Raises:
            DevstackError: something did not get ready.

        """
        with ThreadPoolExecutor(max(1, len(self.plan))) as pool:
            complete = threading.Event()
            try:
                for task in self.plan:
                    self.futures[task.name] = pool.submit(self.bring_up, task, complete)
                complete.set()
                # Short waits, so that a signal is seen at once on every system.
                pending = set(self.futures.values())
                while pending and not self.failed():
                    self.look_at_starts()
                    _, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
            finally:
                self.cancelled.set()
                complete.set()  # a signal may come before all tasks are there
        if failure := self.failed():
            raise failure

    def look_at_starts(self) -> None:
        """See which programs were restarted; one call for all of them, since each call takes time of the supervisor."""
        if time.monotonic() - self.looked_at > DEATHS_POLL_SECONDS:
            self.looked_at = time.monotonic()
            for name, info in supervisor.processes(self.folder).items():
                if info["start"]:
                    self.starts[name].add(info["start"])

    def failed(self) -> BaseException | None:
        """Return what went wrong first, as far as is known."""
        for future in self.futures.values():
            if future.done() and (error := future.exception()) and not isinstance(error, Cancelled):
                return error
        return None

    def bring_up(self, task: Part | Step, complete: threading.Event) -> None:
        """Wait for what the task needs, then do it."""
        complete.wait()
        if self.cancelled.is_set():
            raise Cancelled
        for name in task.needs:
            while not self.futures[name].done():
                self.pause()
            if self.futures[name].exception():
                raise Cancelled
        started = time.monotonic()
        if isinstance(task, Part):
            self.start(task)
        elif task.command:
            self.execute(task)
        else:
            self.functions[task.name]()
        self.report(task.name, time.monotonic() - started)

    def start(self, part: Part) -> None:
        """Start a program and ask until it is ready."""
        if prepare := self.functions.get(part.name):
            prepare()
        supervisor.call(self.folder, "startProcess", part.name, supervisor.NO_WAIT)
        deadline = time.monotonic() + part.deadline_seconds
        while part.awaited and not probes.is_ready(part.probe):
            if len(self.starts[part.name]) > DEATHS_ALLOWED:
                raise self.error(part.name, f"{part.name} keeps ending while it starts")
            if time.monotonic() > deadline:
                raise self.error(part.name, f"{part.name} was not ready within {part.deadline_seconds:.0f} s")
            self.pause()

    def execute(self, step: Step) -> None:
        """Run a step's command to its end."""
        log = self.folder.log / f"{step.name}.log"
        environment = {**inherited(), leftovers.MARK: str(self.folder.path), **step.environment}
        with log.open("wb") as stream:
            process = subprocess.Popen(
                step.command, cwd=CHECKOUT, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
            )
        deadline = time.monotonic() + step.deadline_seconds
        try:
            while process.poll() is None:
                if time.monotonic() > deadline:
                    raise self.error(step.name, f"{step.name} was not done within {step.deadline_seconds:.0f} s")
                self.pause()
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if process.returncode != 0:
            raise self.error(step.name, f"{step.name} failed")

    def pause(self) -> None:
        """Wait a moment, and give up where everything is being given up."""
        if self.cancelled.wait(POLL_SECONDS):
            raise Cancelled

    def error(self, name: str, line: str) -> DevstackError:
        """Return the error with the log's last lines."""
        log = self.folder.log / f"{name}.log"
        return DevstackError(f"{line}; the end of {log}:", last_lines(log))


def last_lines(log: Path) -> tuple[str, ...]:
    """Return the end of a log."""
    with suppress(OSError), log.open(errors="replace") as stream:
        return tuple(line.rstrip() for line in deque(stream, LOG_LINES))
    return ()
