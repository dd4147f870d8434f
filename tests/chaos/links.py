"""The connections between the parts, each through toxiproxy, so that it can be slowed, starved, cut and led elsewhere.

toxiproxy is built from its Go module at a pinned version, once, into the cache folder. Without Go there is no proxy:
everybody connects directly, and the faults that need one are left out by name.
"""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx

VERSION = "2.12.0"
MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@v{VERSION}"
BUILD_SECONDS = 300
HOST = "127.0.0.1"


def cache() -> Path:
    """Return the folder that what was built is kept in."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "waybill"


def server() -> Path | None:
    """Return toxiproxy's program, built now where it is missing; None where there is no Go, or it cannot be built."""
    program = cache() / f"toxiproxy-{VERSION}" / "server"
    go = shutil.which("go")
    if program.exists() or go is None:
        return program if program.exists() else None
    environment = {**os.environ, "GOBIN": str(program.parent)}
    try:
        subprocess.run([go, "install", MODULE], env=environment, capture_output=True, timeout=BUILD_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return program


@dataclass
class Links:
    """Named links from a port of the proxy's to a part's own."""

    url: str
    targets: Mapping[str, int]
    ports: Mapping[str, int]
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=5, trust_env=False))

    def make(self) -> None:
        """Create every link; `url` must answer."""
        for name, target in self.targets.items():
            made = {"name": name, "listen": f"{HOST}:{self.ports[name]}", "upstream": f"{HOST}:{target}"}
            self.client.post(f"{self.url}/proxies", json=made).raise_for_status()

    def cut(self, name: str) -> None:
        """End the link's connections and take no more."""
        self._set(name, {"enabled": False})

    def restore(self, name: str) -> None:
        """Let the link carry again."""
        self._set(name, {"enabled": True})

    def lead(self, name: str, port: int) -> None:
        """Lead new connections to another port; those open are ended."""
        self.cut(name)
        self._set(name, {"enabled": True, "upstream": f"{HOST}:{port}"})

    @contextmanager
    def spoilt(self, name: str, kind: str, stream: str = "downstream", **attributes: int) -> Iterator[None]:
        """Put a toxic (toxiproxy's word) on the link for the length of the block."""
        toxics, own = f"{self.url}/proxies/{name}/toxics", f"{kind}-{uuid.uuid4().hex[:6]}"
        toxic = {"name": own, "type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes}
        self.client.post(toxics, json=toxic).raise_for_status()
        try:
            yield
        finally:
            self.client.delete(f"{toxics}/{own}").raise_for_status()

    def heal(self) -> None:
        """Bring every link back to how it was made."""
        self.client.post(f"{self.url}/reset").raise_for_status()
        for name, target in self.targets.items():
            self._set(name, {"enabled": True, "upstream": f"{HOST}:{target}"})

    def _set(self, name: str, change: dict[str, object]) -> None:
        self.client.post(f"{self.url}/proxies/{name}", json=change).raise_for_status()
