"""A schema registry of the tests' own, which they may stop and rob of its data; the stack's serves the rest."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from devstack.cache import aot
from devstack.cache.artifacts import fetch
from devstack.folder import Folder
from devstack.harness.wait import wait_until
from devstack.infrastructure import registry
from devstack.parts import CONFLUENT_API, Site, inherited, port_names
from devstack.ports import choose


class OwnRegistry:
    """A real registry whose data and port outlive its process."""

    def __init__(self, folder: Path) -> None:
        """Choose a port; starts nothing."""
        home = fetch(["registry"])["registry"]
        self._folder = Folder(folder)
        self._folder.data.mkdir(parents=True)
        ports = choose(port_names(["registry"]), {}, {})
        site = Site(ports=ports, secrets={}, jwks_file=self._folder.data, data=self._folder.data)
        self.url = site.registry + CONFLUENT_API
        self._command = registry.part(site, self._folder, home, *aot.options(home)).command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it on the data that it has; returns when it answers."""
        with (self._folder.path / "registry.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder.path, env=inherited(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._answers, deadline_seconds=90, what="the registry", every_seconds=0.2)

    def stop(self) -> None:
        """End it; its data stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def lose_everything(self) -> None:
        """Put a new registry without data in its place, at the same address."""
        self.stop()
        shutil.rmtree(self._folder.data / "registry", ignore_errors=True)
        self.start()

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/subjects", timeout=5, trust_env=False).is_success
        except httpx2.TransportError:
            return False


@contextmanager
def own_registry() -> Iterator[OwnRegistry]:
    """Yield one that runs and is empty; its data is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="waybill-registry-", ignore_cleanup_errors=True) as folder:
        registry = OwnRegistry(Path(folder))
        try:
            registry.start()
            yield registry
        finally:
            registry.stop()
