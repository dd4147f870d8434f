"""Workflow engines that carry whole orders: an HTTP server each, which does what this system does (`same_work/`)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.meter import family_seconds
from benchmarks.orders import TOPIC, Target, place_all
from benchmarks.peers import temporal
from benchmarks.peers.workflows import HERE, Engine, environment
from devstack import tokens
from devstack.harness.stack import CHECKOUT, Stack
from devstack.harness.wait import wait_until
from devstack.ports import choose

ROLES: Final = ("order", "inventory", "payment", "notification")
TOPICS: Final = ("order.events.v1", "inventory.events.v1", "payment.events.v1", "notification.events.v1")
SHARED: Final = ("provider", "mailbox")  # of the outside: one for all contestants
PARTITIONS: Final = 6  # as topics.toml has them
START_SECONDS: Final = 60


class OrderEngine(Engine):
    """An engine that takes orders over HTTP, on the stack's own database server, broker, provider and mailbox."""

    def __init__(self, name: str, stack: Stack, skus: Sequence[str], folder: Path) -> None:
        super().__init__(name, folder / f"{name}-orders.log")
        self._skus = skus
        (self._port,) = choose([f"{name}.orders"], {}, {}).values()
        self._stack = stack
        self._target = Target(
            f"http://127.0.0.1:{self._port}", stack.state["tokens"]["customer"], stack.kafka, f"{name}.{TOPIC}"
        )

    def serve(self, script: str, **environment_of_engine: str) -> None:
        """Make its databases and topics, and start its program."""
        urls = {f"PEER_{role.upper()}_DATABASE": self.database(role) for role in ROLES}
        admin = AdminClient({"bootstrap.servers": self._stack.kafka, "log_level": 0})
        for made in admin.create_topics([NewTopic(f"{self.name}.{topic}", PARTITIONS, 1) for topic in TOPICS]).values():
            made.result(30)
        python = environment(f"{self.name}_orders")
        command = [str(python), str(HERE / "same_work" / script)]
        self.start("orders", command, **urls, **self._told(), **environment_of_engine)

    def database(self, role: str) -> str:
        """Make a database of its own on the stack's server; returns its URL."""
        name = f"{self.name}_{role}"
        with psycopg.connect(self._stack.superuser_url, autocommit=True) as server:
            server.execute(f'CREATE DATABASE "{name}"')  # pyright: ignore[reportArgumentType] - a name of ours
        return urlunsplit(urlsplit(self._stack.superuser_url)._replace(path=f"/{name}"))

    def _told(self) -> Mapping[str, str]:
        stack = self._stack
        return {
            "PEER_PORT": str(self._port),
            "PEER_KAFKA": stack.kafka,
            "PEER_TOPICS": f"{self.name}.",
            "PEER_SCHEMAS": str(CHECKOUT / "schemas"),
            "PEER_PROVIDER": stack.urls["provider"],
            "PEER_SMTP_PORT": str(json.loads((stack.home / "stack.json").read_text())["ports"]["mailbox.smtp"]),
            "PEER_SKUS": ",".join(self._skus),
            "PEER_JWKS_FILE": str(tokens.jwks_file(stack.home / "data")),
            "PEER_ISSUER": tokens.ISSUER,
            "PEER_AUDIENCE": tokens.AUDIENCE,
        }

    def run(self, sagas: int, in_flight: int) -> list[float]:
        """Place so many orders, so many at a time; returns the seconds that each took to its OrderConfirmed."""
        return place_all(self._target, self._skus, sagas, in_flight)

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU seconds of its programs, and of what serves its orders as it serves ours."""
        processes = self._stack.state["processes"]
        served = {name: family_seconds(psutil.Process(processes[name])) for name in ("kafka", *SHARED)}
        return super().cpu_seconds() | served

    def wait_until_ready(self) -> None:
        """Return once the first order went through."""
        wait_until(self._listens, deadline_seconds=START_SECONDS, what=f"{self.name} takes orders")
        super().wait_until_ready()

    def _listens(self) -> bool:
        one = self.processes["orders"]
        if one.poll() is not None:
            raise AssertionError(f"{self.name} has ended:\n{self.log.read_text(errors='replace')[-3000:]}")
        return temporal.listens(self._port)


def dbos_orders(stack: Stack, skus: Sequence[str], folder: Path) -> OrderEngine:
    """Start DBOS."""
    engine = OrderEngine("dbos", stack, skus, folder)
    engine.serve("dbos_orders.py", DBOS_SYSTEM_DATABASE_URL=engine.database("system"))
    return engine


def temporal_orders(stack: Stack, skus: Sequence[str], folder: Path) -> OrderEngine | None:
    """Start Temporal; None where it cannot be built here."""
    program = temporal.server()
    if program is None:
        return None
    engine = OrderEngine("temporal", stack, skus, folder)
    engine.serve("temporal_orders.py", TEMPORAL_ADDRESS=temporal.start_server(engine, program))
    return engine
