"""Follows the page: its environment, its processes, its visitors, and what is looked at when it has ended."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from confluent_kafka.admin import AdminClient

from devstack.harness.stack import Stack
from devstack.harness.wait import wait_until
from devstack.infrastructure import postgres
from devstack.ports import choose
from tests.storefront.shop import copied
from tests.strangler import page
from tests.strangler.where import DATABASES, TOPICS
from tests.support import environments

EXTRAS = "contracts,relay,inbox,rest,rest-backend,gateway"
SHOWN = 60
MOST_SECONDS = 1_500


class Lost(AssertionError):
    """A step of the page did not do what it says."""


@dataclass
class Walk:
    """The page on a stack, in a folder of its own."""

    stack: Stack
    folder: Path
    environment: environments.Environment
    ports: dict[str, int]
    said: list[str] = field(default_factory=list)

    @property
    def entry(self) -> str:
        return f"http://127.0.0.1:{self.ports['ENTRY']}"

    @property
    def shop(self) -> Path:
        return self.folder / "monolith"

    def follow(
        self,
        blocks: list[page.Block],
        reached: Callable[[page.Block], None] = lambda _: None,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Run the blocks in order; `reached` gets each before it begins, `ended` is called before programs end.

        Raises Lost.
        """
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        script = self.folder / "page.sh"
        script.write_text(page.script(blocks, self.ports, self._variables(), logs))
        path = os.pathsep.join([str(self.environment.folder / "bin"), str(postgres.programs()), os.environ["PATH"]])
        told = environments.surroundings(SHOP=str(self.shop), PATH=path, PYTHONWARNINGS="default")
        with subprocess.Popen(
            ["bash", str(script)],
            cwd=self.shop,
            env=told,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as running:
            late = threading.Timer(MOST_SECONDS, _end, [running])
            late.start()
            try:
                self._read(running, lambda number: reached(blocks[number]))
                ended()
            finally:
                late.cancel()
                _end(running)
        if not self.said or self.said[-1] != f"{page.MARK} end":
            raise Lost("\n".join([*self.said[-SHOWN:], *self._logs(logs)]))

    def _read(self, running: subprocess.Popen[str], reached: Callable[[int], None]) -> None:
        assert running.stdout is not None
        for line in running.stdout:
            self.said.append(line.rstrip("\n"))
            print(time.strftime("%X"), self.said[-1], flush=True)  # noqa: T201 - what is done, as it is done
            if line.startswith(f"{page.MARK} end"):
                return  # programs that go on hold the pipe open
            if line.startswith(page.MARK):
                number = line.split(" ", 2)[1]
                if number.isdigit():
                    reached(int(number))

    def _variables(self) -> dict[str, str]:
        server = urlsplit(self.stack.superuser_url)
        return {
            "DB_HOST": server.hostname or "",
            "DB_PORT": str(server.port),
            "DB_USER": server.username or "",
            "DB_PASSWORD": server.password or "",
            "WAYBILL_KAFKA_BOOTSTRAP": self.stack.kafka,
            "WAYBILL_REGISTRY_URL": f"{self.stack.urls['registry']}/apis/ccompat/v7",
        }

    def _logs(self, logs: Path) -> Iterator[str]:
        for log in sorted(logs.iterdir()):
            tail = log.read_text(errors="replace").splitlines()[-8:]
            yield from [f"== {log.name}", *(line[:400] for line in tail)]

    def rows(self, database: str, statement: str, *values: object) -> list[tuple]:
        """What one of the databases answers."""
        with psycopg.connect(self.stack.database(database)) as there:
            return there.execute(statement, values or None).fetchall()


@contextmanager
def walk(stack: Stack, folder: Path) -> Iterator[Walk]:
    """Give the page what it needs; its databases and topics are dropped afterwards."""
    wheel = environments.build_wheel(folder / "wheel")
    wanted = (f"waybill[{EXTRAS}] @ {wheel.as_uri()}", "django~=5.2.0", "psycopg[binary]>=3.2", "gunicorn>=23")
    environment = environments.make(folder / "venv", *wanted, python=environments.newest_python())
    copied(folder)
    names = page.ports(page.blocks()[0].text)
    chosen = choose([name.lower() for name in names if not name.startswith("DB_")], {}, {})
    ports = {name: chosen.get(name.lower(), 0) for name in names}
    try:
        yield Walk(stack, folder, environment, ports)
    finally:
        _drop(stack)


def missing() -> str | None:
    """Why the page cannot be followed on this machine; None where it can."""
    return next((f"{name} is not installed" for name in ("curl", "bash", "sed") if shutil.which(name) is None), None)


def _drop(stack: Stack) -> None:
    with psycopg.connect(stack.superuser_url, autocommit=True) as server:
        for name in DATABASES:
            server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    ours = lambda: [name for name in admin.list_topics(timeout=10).topics if name.startswith(TOPICS)]  # noqa: E731
    for deleted in admin.delete_topics(ours()).values() if ours() else ():
        deleted.result(30)
    wait_until(lambda: not ours(), deadline_seconds=30, what="the topics are deleted")


def _end(running: subprocess.Popen[str]) -> None:
    """End the script and every program that it started: all are of its session."""
    for one in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(running.pid, one)
        except ProcessLookupError:
            return
        threading.Event().wait(1.0 if one == signal.SIGTERM else 0)
    running.wait(10)
