"""Temporal: its development server, in memory, built by name from the Go module proxy, and one Python worker."""

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.peers.workflows import HERE, Engine, environment
from devstack.cache.artifacts import cache
from devstack.harness.wait import wait_until
from devstack.ports import HOST, choose

VERSION: Final = "1.1.2"
MODULE: Final = f"github.com/temporalio/cli/cmd/temporal@v{VERSION}"
BUILD_SECONDS: Final = 1200


def server() -> Path | None:
    """Return the server's program, built at first use (some minutes); None where there is no Go."""
    program = cache() / f"temporal-{VERSION}" / "temporal"
    go = shutil.which("go")
    if not program.exists() and go is not None:
        env = {**os.environ, "GOBIN": str(program.parent)}
        subprocess.run([go, "install", MODULE], env=env, timeout=BUILD_SECONDS, check=True)
    return program if program.exists() else None


def temporal(folder: Path) -> Engine | None:
    """Start Temporal; None where it cannot be built here."""
    program = server()
    if program is None:
        return None
    engine = Engine("temporal", folder / "temporal.log")
    address = start_server(engine, program)
    python = environment("temporal")
    engine.start("sagas", [str(python), "-P", str(HERE / "temporal_saga.py")], TEMPORAL_ADDRESS=address)
    return engine


def start_server(engine: Engine, program: Path) -> str:
    """Start the development server; returns its address once it listens."""
    ports = choose(["temporal", "temporal.ui"], {}, {})
    where = ["--ip", HOST, "--port", str(ports["temporal"]), "--headless", "--log-level", "error"]
    engine.start("server", [str(program), "server", "start-dev", *where])
    wait_until(lambda: listens(ports["temporal"]), deadline_seconds=60, what="Temporal's server listens")
    return f"{HOST}:{ports['temporal']}"


def listens(port: int) -> bool:
    """Say whether a program of this machine listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
