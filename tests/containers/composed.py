"""docker-compose.kafka.yml under podman-compose: started in its own order, asked for health, stopped, removed.

Podman has health checks run by systemd, and podman-compose waits for them from podman 4.6 on. Neither may be there: so
the checks that the file says are run here, and each container is started once the conditions that the file says hold.
Podman before 4.5 refuses a start interval too: that line of each check is left out, and we ask more often than it says.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml

from devstack.folder import CHECKOUT
from devstack.harness.wait import wait_until
from devstack.ports import why_taken
from tests.containers.engine import CommandFailed, Engine, run, say
from tests.containers.stand_ins import unpinned

FILE = CHECKOUT / "docker-compose.kafka.yml"
DECLARED: Mapping[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: Mapping[str, Mapping[str, Any]] = DECLARED["services"]
START_SECONDS = 600  # a deadline only: a loaded machine takes minutes
LOG_LINES = "40"


@dataclass
class Composed:
    """The compose file's containers."""

    engine: Engine
    settled: dict[str, float] = field(default_factory=dict)  # healthy, or ended well: seconds after the start

    def compose(self, *arguments: str) -> str:
        """Run podman-compose on the file."""
        taken = self.engine.home / FILE.name
        text = re.sub(r"^ *start_interval: .*\n", "", unpinned(FILE.read_text()), flags=re.MULTILINE)
        taken.write_text(text.replace("./deploy/", f"{CHECKOUT}/deploy/"))
        command = (str(CHECKOUT / ".venv" / "bin" / "podman-compose"), "--file", str(taken), *arguments)
        return run(command, self.engine.environment)

    def up(self) -> None:
        """Start each container once what it waits for is healthy or has ended well, and return when all are.

        Raises:
            AssertionError: a container ended badly, or is not healthy in time.

        """
        began = time.monotonic()
        started: set[str] = set()

        def proceed() -> bool:
            can_start = [name for name in SERVICES if name not in started and self._may_start(name)]
            if can_start:
                self.compose("up", "--detach", "--no-deps", "--no-build", *can_start)
                started.update(can_start)
            with ThreadPoolExecutor(4) as threads:
                waited_for = sorted(started - self.settled.keys())
                for name, is_settled in zip(waited_for, threads.map(self._is_settled, waited_for), strict=True):
                    if is_settled:
                        self.settled[name] = time.monotonic() - began
                        say(f"{self.settled[name]:6.1f} s  {name}: {'healthy' if is_checked(name) else 'done'}")
            return self.settled.keys() == SERVICES.keys()

        try:
            wait_until(proceed, deadline_seconds=START_SECONDS, every_seconds=0.3, what="everything healthy or done")
        except (AssertionError, CommandFailed):
            for name in sorted(started - self.settled.keys()):
                say(f"--- not settled: {name}\n{self.log(name)}")
            raise

    def _may_start(self, name: str) -> bool:
        return SERVICES[name].get("depends_on", {}).keys() <= self.settled.keys()

    def _is_settled(self, name: str) -> bool:
        if is_checked(name):
            return self.is_healthy(name)
        state = self._state(name)
        return state["Status"] == "exited" and state["ExitCode"] == 0

    def is_healthy(self, name: str) -> bool:
        """Tell whether a container runs and passes its health check."""
        return self._state(name)["Running"] and self.engine.succeeds("healthcheck", "run", self.container(name))

    def process(self, name: str) -> int:
        """Return the pid of a container's first process, as this machine has it; 0 where none runs."""
        return self._state(name)["Pid"]

    def _state(self, name: str) -> Any:
        return self.engine.inspect(self.container(name))["State"]

    @staticmethod
    def container(name: str) -> str:
        """Return the name that podman-compose gives the container of a service."""
        return f"{DECLARED['name']}_{name}_1"

    def log(self, name: str) -> str:
        """Return the last lines of a container's log."""
        try:
            return self.engine.podman("logs", "--tail", LOG_LINES, self.container(name))
        except CommandFailed as error:
            return str(error)

    def issued(self) -> dict[str, str]:
        """Return the tokens that the issuer printed."""
        return json.loads(self.engine.podman("logs", self.container("issuer")))

    def stop(self) -> dict[str, tuple[int, float]]:
        """Stop what runs, what others stand on last; return each program's exit code and seconds."""
        ours = [name for name in SERVICES if is_checked(name) and is_ours(name)]
        others = [name for name in SERVICES if is_checked(name) and not is_ours(name)]
        with ThreadPoolExecutor(4) as threads:
            stopped = dict(zip(ours, threads.map(self._stop, ours), strict=True))
        return stopped | {name: self._stop(name) for name in reversed(others)}

    def _stop(self, name: str) -> tuple[int, float]:
        began = time.monotonic()
        grace = str(SERVICES[name].get("stop_grace_period", "10s")).removesuffix("s")
        self.engine.podman("stop", "--time", grace, self.container(name))
        seconds = time.monotonic() - began
        return self._state(name)["ExitCode"], seconds

    def down(self) -> None:
        """Remove containers, networks and volumes; podman-compose leaves the volumes that only an image names."""
        self.engine.podman("rm", "--force", "--ignore", "--volumes", *map(self.container, SERVICES))
        self.compose("down", "--volumes", "--remove-orphans")


def is_checked(name: str) -> bool:
    """Tell whether a container stays, and so has a health check."""
    return "healthcheck" in SERVICES[name]


def is_ours(name: str) -> bool:
    """Tell whether a container runs an image of ours."""
    return SERVICES[name]["image"].startswith("waybill/")


def published() -> Iterator[tuple[str, int]]:
    """Yield each container with a port that this machine's programs reach it by."""
    for name, one in SERVICES.items():
        for mapping in one.get("ports", ()):
            yield name, int(mapping.split(":")[1])


def ports_taken(ports: Iterable[int] | None = None) -> list[str]:
    """Say which of the published ports another program holds."""
    wanted = [port for _, port in published()] if ports is None else ports
    return [f"{port}: {reason}" for port in wanted if (reason := why_taken(port, is_udp=False))]


@contextmanager
def running(engine: Engine) -> Iterator[Composed]:
    """Bring the compose file up, and take it down whatever happens."""
    composed = Composed(engine)
    try:
        composed.up()
        yield composed
    finally:
        composed.down()
