"""One web program of the order service and a PostgreSQL of its own, on loopback; nothing of it is left behind."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.peers.process import Peer
from benchmarks.stage import execute
from devstack import tokens
from devstack.harness.databases import Server
from devstack.harness.stack import CHECKOUT, Stack
from devstack.harness.wait import wait_until

CUSTOMERS: Final = 20
PRICE: Final = "INSERT INTO prices (sku, unit_price, currency) VALUES ('LAMP-01', 100, 'EUR')"


@dataclass(frozen=True)
class WebProgram:
    """Where it answers, with tokens of several customers; its database, and a folder for what is put beside it."""

    port: int
    tokens: list[str]
    database_url: str
    folder: Path


@contextmanager
def web_program() -> Iterator[WebProgram]:
    """Run the program with one product for sale."""
    with tempfile.TemporaryDirectory(prefix="waybill-web-", ignore_cleanup_errors=True) as name:
        home = Path(name) / "stack"
        stack = Stack(home, {**os.environ, "WAYBILL_HOME": str(home)})
        try:
            _devstack(stack, "up", "--only", "postgres")
            with Server(stack.superuser_url).fresh("order_service") as database:
                execute(database.superuser_url, PRICE)
                tokens.prepare(Path(name))
                port, health = free_port(), free_port()
                environment = {
                    "WAYBILL_DATABASE_URL": database.service_url,
                    "WAYBILL_PORT": str(port),
                    "WAYBILL_HEALTH_PORT": str(health),
                    "WAYBILL_ENVIRONMENT": "development",
                    "WAYBILL_JWKS_FILE": str(tokens.jwks_file(Path(name))),
                    "WAYBILL_TOKEN_ISSUER": tokens.ISSUER,
                    "WAYBILL_TOKEN_AUDIENCE": tokens.AUDIENCE,
                }
                command = [sys.executable, "-m", "waybill", "order_service", "web"]
                with Peer("web", command, environment, Path(name) / "web.log") as web:
                    until_answering(web, f"http://127.0.0.1:{health}/readyz")
                    given = [tokens.mint(Path(name), f"customer-{n}", "orders") for n in range(CUSTOMERS)]
                    yield WebProgram(port, given, database.service_url, Path(name))
        finally:
            _devstack(stack, "reset")


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def until_answering(program: Peer, url: str) -> None:
    """Wait until the program answers 200 there."""
    wait_until(_answers(program, url), deadline_seconds=60, what=program.name)


def _answers(program: Peer, url: str) -> Callable[[], bool]:
    def answers() -> bool:
        program.fail_if_dead()
        try:
            with urlopen(url, timeout=5) as answer:
                return answer.status == 200
        except URLError:
            return False

    return answers


def _devstack(stack: Stack, *arguments: str) -> None:
    command = [sys.executable, "-m", "devstack", *arguments]
    subprocess.run(command, cwd=CHECKOUT, env=stack.environment, check=True, stdout=subprocess.DEVNULL)
