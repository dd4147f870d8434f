"""The programs of a running stack, one at a time: which code each runs, and another beside or in place of it.

What a program is told stands in the supervisor's configuration. A release changes the folder that the program runs in,
and nothing else, so that old and new code stand in the same environment.
"""

from __future__ import annotations

import re
import time
import xmlrpc.client  # of a program of ours, on a socket of our own  # nosec B411
from configparser import RawConfigParser
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from devstack.errors import DevstackError
from devstack.ports import HOST, choose
from devstack.processes import launch, probes, supervisor

if TYPE_CHECKING:
    from devstack.folder import Folder

POLL_SECONDS: Final = 0.1
DEATHS_ALLOWED: Final = 2
BESIDE: Final = ".next"  # a program that answers while the one of this name is replaced
PORT: Final = re.compile(r'WAYBILL_PORT="(\d+)"')
HEALTH_PORT: Final = re.compile(r'WAYBILL_HEALTH_PORT="(\d+)"')


@dataclass(frozen=True)
class Patience:
    """How long a program may take to be ready, and for how long it must stay so to count as healthy."""

    ready_seconds: float
    steady_seconds: float


class Programs:
    """The programs of one stack."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def names(self, service: str) -> list[str]:
        """Return the service's programs that this stack runs."""
        return [name for name in self._sections() if name.startswith(f"{service}.") and not name.endswith(BESIDE)]

    def source(self, name: str) -> Path:
        """Return the folder whose code the program runs, or would after a restart."""
        return Path(self._sections()[name]["directory"])

    def running_source(self, name: str) -> Path | None:
        """Return the folder that the process itself runs in; None where there is no process."""
        pid = supervisor.processes(self.folder).get(name, {}).get("pid")
        with suppress(psutil.Error):
            return Path(psutil.Process(pid).cwd()) if pid else None
        return None

    def is_there(self, name: str) -> bool:
        """Tell whether the supervisor knows the program."""
        return name in self._sections()

    def restart(self, name: str, source: Path, patience: Patience) -> None:
        """Stop the program and start it with the source's code. Raises DevstackError where that does not get ready."""
        settings = {**self._sections()[name], "directory": str(source)}
        supervisor.stop_tier(self.folder, [name])
        self._put(name, settings)
        self.await_steady(name, patience)

    def start_beside(self, name: str, source: Path, patience: Patience) -> None:
        """Start another of this web program, on the same port. Raises DevstackError where it does not get ready."""
        beside = f"{name}{BESIDE}"
        health = choose([beside], {}, {})[beside]
        settings = dict(self._sections()[name])
        settings["environment"] = HEALTH_PORT.sub(f'WAYBILL_HEALTH_PORT="{health}"', settings["environment"])
        settings |= {"directory": str(source), "stdout_logfile": str(self.folder.log / f"{beside}.log")}
        self._put(beside, settings)
        self.await_steady(beside, patience)

    def end_beside(self, name: str) -> None:
        """Stop the other one, which answers what it took."""
        beside = f"{name}{BESIDE}"
        if self.is_there(beside):
            supervisor.stop_tier(self.folder, [beside])
            self._put(beside, None)

    def await_steady(self, name: str, patience: Patience) -> None:
        """Return once the program was ready for a while, and the same process all the time.

        Raises:
            DevstackError: it ends again and again, or is not ready in time.

        """
        probe = self._probe(name)
        starts: set[int] = set()
        deadline = time.monotonic() + patience.ready_seconds
        ready_since: float | None = None
        while ready_since is None or time.monotonic() - ready_since < patience.steady_seconds:
            info = supervisor.processes(self.folder).get(name, {})
            if info.get("start") and info["start"] not in starts:
                starts.add(info["start"])
                ready_since = None
            if len(starts) > DEATHS_ALLOWED:
                raise self._error(name, f"{name} keeps ending while it starts")
            if not probes.is_ready(probe):
                ready_since = None
                if time.monotonic() > deadline:
                    raise self._error(name, f"{name} was not ready within {patience.ready_seconds:.0f} s")
            elif ready_since is None:
                ready_since = time.monotonic()
            time.sleep(POLL_SECONDS)

    def _probe(self, name: str) -> str:
        environment = self._sections()[name]["environment"]
        found = HEALTH_PORT.search(environment) or PORT.search(environment)
        return f"http://{HOST}:{found[1] if found else 0}/readyz"

    def _error(self, name: str, line: str) -> DevstackError:
        log = self.folder.log / f"{name}.log"
        return DevstackError(f"{line}; the end of {log}:", launch.last_lines(log))

    def _sections(self) -> dict[str, dict[str, str]]:
        config = self._read()
        prefix = "program:"
        return {
            section.removeprefix(prefix): dict(config[section])
            for section in config.sections()
            if section.startswith(prefix)
        }

    def _read(self) -> RawConfigParser:
        config = RawConfigParser(delimiters=("=",), interpolation=None)
        config.read(self.folder.supervisor_config)
        return config

    def _put(self, name: str, settings: dict[str, str] | None) -> None:
        """Make the settings those of the program, and start it; without any, forget it. It must be stopped."""
        config = self._read()
        section = f"program:{name}"
        config.remove_section(section)
        if settings is not None:
            config.add_section(section)
            for key, value in settings.items():
                config.set(section, key, value)
        with self.folder.supervisor_config.open("w") as stream:
            config.write(stream, space_around_delimiters=False)
        with suppress(xmlrpc.client.Fault):  # it was not known
            supervisor.call(self.folder, "removeProcessGroup", name)
        supervisor.call(self.folder, "reloadConfig")
        if settings is not None:
            supervisor.call(self.folder, "addProcessGroup", name)
            supervisor.call(self.folder, "startProcess", name, supervisor.NO_WAIT)
