"""The one PostgreSQL server and the one broker that everybody is measured on.

They are the local stack's own parts with its settings, in a folder of their own; only what a fair measurement needs is
set besides, for all alike. Nothing is left when the block ends.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from devstack.harness.databases import Server, ServiceDatabase
from devstack.harness.stack import CHECKOUT, Stack
from devstack.harness.wait import wait_until

ANSWER_SECONDS: Final = 20
PARTITIONS: Final = 6  # as topics.toml has them
# Without it a start is quicker, and a broker under load slower.
SECOND_COMPILER = {"WAYBILL_KAFKA_JAVA_OPTIONS": "-XX:TieredStopAtLevel=4"}
SERVER_SETTINGS: Final = {
    "wal_level": "logical",  # Debezium needs it; the others pay for it too
    "wal_sender_timeout": "0",  # a peer that is held back is not cut off
    "autovacuum": "off",  # would fall on one peer and not on the other; tables are analyzed after the warm-up
    # Likewise what PostgreSQL writes out now and then: it does so before every measurement, see `write_out`.
    "max_wal_size": "32GB",
    "checkpoint_timeout": "1h",
    "logical_decoding_work_mem": "256MB",  # Debezium's transactions never spill to disk
}


@dataclass
class Stage:
    """A running server and broker."""

    stack: Stack
    server: Server
    folder: Path
    _admin: AdminClient = field(init=False)

    def __post_init__(self) -> None:
        self._admin = AdminClient({"bootstrap.servers": self.kafka, "log_level": 0})

    @property
    def kafka(self) -> str:
        """Return the broker's address."""
        return self.stack.kafka

    def pid(self, part: str) -> int:
        """Return the pid of `postgres` or `kafka`."""
        return self.stack.pid(part)

    def make_topic(self, name: str) -> "Topic":
        """Create a topic, with the number of partitions that the system's own topics have."""
        self._admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(10)
        topic = Topic(name, self._admin)
        wait_until(topic.has_leaders, deadline_seconds=10, what=f"leaders of {name}")
        return topic

    def write_out(self) -> None:
        """Make the server write everything to disk now, and not in the middle of a measurement."""
        execute(self.server.superuser_url, "CHECKPOINT")


@dataclass(frozen=True)
class Topic:
    """Where records arrive, seen from outside."""

    name: str
    admin: AdminClient

    def has_leaders(self) -> bool:
        """Say whether every partition can be written."""
        try:
            return self._ends() == 0
        except KafkaException:
            return False

    def end(self) -> int:
        """Return how many records were acknowledged by all in-sync replicas, over all partitions."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                return self._ends()
            except KafkaException:  # a broker that was starved of CPU lost its leadership, and has it back
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)  # between two questions to a broker that is not ready

    def _ends(self) -> int:
        wanted = {TopicPartition(self.name, number): OffsetSpec.latest() for number in range(PARTITIONS)}
        found = self.admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED)
        return sum(future.result(ANSWER_SECONDS).offset for future in found.values())


def execute(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Do one thing on a database and return the rows, if there are any."""
    with psycopg.connect(url, autocommit=True) as connection:
        done = connection.execute(statement, values or None)
        return done.fetchall() if done.description is not None else []


@contextmanager
def running(settings: Mapping[str, str] = SERVER_SETTINGS) -> Iterator[Stage]:
    """Start the server, with these settings, and the broker; stop them and wipe their data whatever happens."""
    with tempfile.TemporaryDirectory(prefix="waybill-bench-", ignore_cleanup_errors=True) as name:
        home = Path(name) / "stack"
        stack = Stack(home, {**os.environ, "WAYBILL_HOME": str(home), **SECOND_COMPILER})
        try:
            _devstack(stack, "up", "--only", "postgres,kafka")
            _set_server(stack, settings)
            yield Stage(stack, Server(stack.superuser_url), Path(name))
        finally:
            _devstack(stack, "reset")


def _devstack(stack: Stack, *arguments: str) -> None:
    command = [sys.executable, "-m", "devstack", *arguments]
    subprocess.run(command, cwd=CHECKOUT, env=stack.environment, check=True, stdout=subprocess.DEVNULL)


def _set_server(stack: Stack, settings: Mapping[str, str]) -> None:
    with psycopg.connect(stack.superuser_url, autocommit=True) as connection:
        for name, value in settings.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    before = stack.pid("postgres")
    os.kill(before, signal.SIGINT)  # a fast shutdown; its supervisor starts it again

    def is_back() -> bool:
        try:
            return execute(stack.superuser_url, "SHOW wal_level") == [(settings["wal_level"],)]
        except psycopg.OperationalError:
            return False

    wait_until(lambda: stack.pid("postgres") not in {0, before} and is_back(), deadline_seconds=30, what="PostgreSQL")


def versions(stage: Stage) -> dict[str, str]:
    """Return what ran."""
    return {"postgresql": execute(stage.server.superuser_url, "SHOW server_version")[0][0]}


@contextmanager
def database(stage: Stage, service: str = "order_service") -> Iterator[ServiceDatabase]:
    """Yield a migrated, empty database of the service; dropped afterwards."""
    with stage.server.fresh(service) as fresh:
        yield fresh
