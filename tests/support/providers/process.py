"""A program that answers HTTP on a free port, for as long as a test needs it."""

import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from devstack.harness.stack import CHECKOUT
from devstack.harness.wait import wait_until
from devstack.ports import choose


def free_port() -> int:
    """A port that nobody listens on, and that no outgoing connection is given before somebody does."""
    return choose(("free",), {}, {})["free"]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def answering(
    command: Sequence[str], port: int, log: Path, environment: Mapping[str, str], folder: Path = CHECKOUT
) -> Iterator[str]:
    """Run the command until the end of the block; yields its URL once it listens."""
    with log.open("wb") as lines:
        running = subprocess.Popen(command, cwd=folder, env=dict(environment), stdout=lines, stderr=lines)
    try:

        def ready() -> bool:
            assert running.poll() is None, f"{command[0]} has ended: {log.read_text()[-2000:]}"
            return listens(port)

        wait_until(ready, deadline_seconds=60, what=f"port {port} answers")
        yield f"http://127.0.0.1:{port}"
    finally:
        running.kill()
        running.wait(10)
