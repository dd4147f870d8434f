"""Prometheus, which scrapes every program and evaluates deploy/alerts: the machine's own, or Debian's package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from devstack.cache import debian
from devstack.folder import CHECKOUT
from devstack.parts import Part
from devstack.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from devstack.folder import Folder
    from devstack.parts import Site

SCRAPE_SECONDS = 5
# Go gives memory back before it passes this, and the blocks on disk have a bound of their own.
MEMORY = {"GOMEMLIMIT": "160MiB", "GOGC": "50"}
KEPT_BYTES, KEPT_FOR = "256MB", "2d"


def program() -> Path | None:
    """Return Prometheus; None where it cannot be had here."""
    return debian.program("prometheus")


def part(site: Site, folder: Folder, home: Path, after: frozenset[str]) -> Part:
    """Return Prometheus; nobody waits for it, and it starts behind the rest."""
    options = {
        "config.file": str(config_file(folder)),
        "web.listen-address": f"{HOST}:{site.ports['prometheus']}",
        "storage.tsdb.path": str(folder.data / "prometheus"),
        "storage.tsdb.retention.time": KEPT_FOR,
        "storage.tsdb.retention.size": KEPT_BYTES,
        "enable-feature": "exemplar-storage",
        "log.level": "warn",
    }
    return Part(
        name="prometheus",
        command=(str(home), *(f"--{name}={value}" for name, value in options.items())),
        probe=f"{site.http('prometheus')}/-/ready",
        tier=1,
        needs=after,
        environment=MEMORY,
        awaited=False,
    )


def config_file(folder: Folder) -> Path:
    """Name its configuration."""
    return folder.data / "prometheus.yml"


def prepare(site: Site, folder: Folder, programs: Iterable[str]) -> None:
    """Write what it scrapes: a job for each kind of program, as deploy/ has them."""
    kinds: dict[str, list[dict[str, object]]] = {}
    for name in programs:
        target = f"{HOST}:{site.health_port(name)}"
        kinds.setdefault(name.partition(".")[2], []).append({"targets": [target], "labels": {"program": name}})
    config = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
        "rule_files": [str(CHECKOUT / "deploy" / "alerts" / "*.yml")],
        "scrape_configs": [{"job_name": kind, "static_configs": targets} for kind, targets in kinds.items()],
    }
    config_file(folder).write_text(json.dumps(config, indent=1))  # JSON is YAML
