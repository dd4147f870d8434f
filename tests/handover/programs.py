"""Programs that are started again whenever they end, as a supervisor does."""

import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devstack.harness.wait import wait_until

AGAIN_SECONDS = 0.3
STOP_SECONDS = 20


@dataclass
class Kept:
    """One program."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    log: Path
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None

    def start(self) -> None:
        """Start it, and keep it."""
        self._keeper = threading.Thread(target=self._keep, name=self.name)
        self._keeper.start()

    def kill(self) -> bool:
        """End it as kill -9 does; tells whether it ran."""
        process = self._process
        if process is None or process.poll() is not None:
            return False
        process.kill()
        return True

    def end(self) -> None:
        """Let it end by itself; it is started again."""
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """End it for good."""
        self._stopping.set()
        process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        if self._keeper is not None:
            self._keeper.join()

    def until_ready(self, ready: Callable[[], object]) -> None:
        """Wait until it answers; fails with the end of its log."""
        try:
            wait_until(ready, deadline_seconds=60, what=f"{self.name} is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.log.read_text()[-3000:]}") from None

    def _keep(self) -> None:
        while not self._stopping.is_set():
            self.starts += 1
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self.command, cwd=self.folder, env=dict(self.environment), stdout=log, stderr=log
                )
            if self._stopping.is_set():
                self._process.terminate()
            self._process.wait()
            self._stopping.wait(AGAIN_SECONDS)
