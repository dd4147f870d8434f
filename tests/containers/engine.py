"""Podman with an image store, networks and settings of our own: an engine's own images are never touched."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from devstack.cache import artifacts
from devstack.folder import CHECKOUT

NEEDED = {
    "podman": "podman",
    "runc": "runc",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
}
NETAVARK = (Path("/usr/lib/podman/netavark"), Path("/usr/libexec/podman/netavark"))
# Two settings that a machine may need: raising limits is not allowed inside a container, and crun refuses a hybrid
# hierarchy of cgroups. The rest keeps what we make together.
SETTINGS = """\
[containers]
default_ulimits = []
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "{home}/networks"
"""
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{home}/storage"
runroot = "{home}/run"
"""
# Names without a host are Docker's, and that is never asked.
REGISTRIES = """\
unqualified-search-registries = ["docker.io"]
short-name-mode = "permissive"
[[registry]]
location = "docker.io"
blocked = true
"""
COMMAND_SECONDS = 900


class CommandFailed(Exception):
    """An engine's command ended badly; its last lines say why."""


def why_not() -> str | None:
    """Say why no container can run here; None where they can."""
    if os.geteuid() != 0:
        return "containers are tried as root: podman without a user namespace, debootstrap"
    missing = [package for program, package in NEEDED.items() if not shutil.which(program)]
    if not any(path.exists() for path in NETAVARK):
        missing.append("netavark")
    if missing:
        return f"no container engine: apt install {' '.join(missing)} aardvark-dns"
    return None


@dataclass(frozen=True)
class Engine:
    """Podman, with everything that it keeps below one folder."""

    home: Path

    @classmethod
    def prepared(cls) -> "Engine":
        """Return the engine of this user's cache, with its settings written."""
        home = artifacts.cache() / "containers"
        (home / "networks").mkdir(parents=True, exist_ok=True)
        engine = cls(home)
        for name, text in (
            ("containers.conf", SETTINGS),
            ("storage.conf", STORAGE),
            ("registries.conf", REGISTRIES),
        ):
            (home / name).write_text(text.format(home=home))
        return engine

    @property
    def environment(self) -> dict[str, str]:
        """Return what makes podman, and all that calls it, use this store and these settings."""
        return {
            **os.environ,
            "CONTAINERS_CONF": str(self.home / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.home / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.home / "registries.conf"),
        }

    def podman(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> str:
        """Run podman and return what it prints.

        Raises:
            CommandFailed: it ended badly.

        """
        return run(("podman", *arguments), self.environment, seconds)

    def succeeds(self, *arguments: str) -> bool:
        """Tell whether podman ends well."""
        try:
            self.podman(*arguments)
        except CommandFailed:
            return False
        return True

    def inspect(self, name: str, *, kind: str = "container") -> Any:
        """Return what podman knows of a container or an image."""
        return json.loads(self.podman(kind, "inspect", name))[0]

    def left(self) -> list[str]:
        """Name every container, volume, network, process and mount that there still is."""
        found = [f"container {name}" for name in self.podman("ps", "--all", "--format", "{{.Names}}").split()]
        found += [f"volume {name}" for name in self.podman("volume", "ls", "--quiet").split()]
        networks = self.podman("network", "ls", "--format", "{{.Name}}").split()
        found += [f"network {name}" for name in networks if name != "podman"]  # the engine's own
        found += [f"process {process.pid} {line[:80]}" for process, line in self.processes()]
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        # The store's own folder is bound to itself while podman is in use.
        kept = {str(self.home / "storage" / "overlay")}
        found += [
            f"mount {at}" for _, at, *_ in map(str.split, mounts) if at.startswith(f"{self.home}/") and at not in kept
        ]
        return found

    def processes(self) -> list[tuple[psutil.Process, str]]:
        """Return what runs for this store, each with its command."""
        commands = [(one, " ".join(one.info["cmdline"] or ())) for one in psutil.process_iter(["cmdline"])]
        return [(one, line) for one, line in commands if str(self.home) in line and one.pid != os.getpid()]

    def end_monitors(self) -> None:
        """End monitors of containers that are gone: podman's API keeps that of each `exec` for five minutes."""
        there = self.podman("ps", "--all", "--quiet", "--no-trunc").split()
        for process, line in self.processes():
            if "conmon" in line.split()[0] and not any(container in line for container in there):
                process.kill()


def run(command: Sequence[str], environment: Mapping[str, str], seconds: float = COMMAND_SECONDS) -> str:
    """Run a command in the checkout and return what it prints.

    Raises:
        CommandFailed: it ended badly.

    """
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        raise CommandFailed(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}{done.stdout[-3000:]}"
        )
    return done.stdout


def say(line: str) -> None:
    """Tell what is being done."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
