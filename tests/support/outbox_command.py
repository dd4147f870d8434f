"""The `outbox` command as an operator runs it: a process, its two streams and its exit code."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid4

import psycopg
from confluent_kafka import Consumer, TopicPartition

from devstack.harness.databases import ServiceDatabase
from devstack.harness.wait import wait_until
from order_service.service import service
from tests.support.forked import run_outbox
from tests.support.orders import place
from tests.support.relays import CHECKOUT
from waybill.deciders import unit_of_work

COMMAND = [sys.executable, "-m", "outbox_relay"]  # of this checkout, whichever is installed
AWAY = "postgresql://nobody@127.0.0.1:1/nothing"


@dataclass(frozen=True)
class Ended:
    """How one run ended."""

    code: int
    out: str
    err: str

    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


def outbox(*arguments: str, **environment: str) -> Ended:
    """Run the command to its end; whatever happens, it shows no traceback."""
    code, out, err = run_outbox(arguments, {**os.environ, **environment}, CHECKOUT, timeout_seconds=60)
    assert "Traceback" not in err, err
    return Ended(code, out, err)


class Running:
    """The command while it runs, its two streams in files; left behind by nobody."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [*COMMAND, *arguments],
                cwd=CHECKOUT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)

    @property
    def err(self) -> str:
        return self._err.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """The whole JSON lines on stdout until now."""
        return [json.loads(line) for line in self._out.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def positions(self) -> list[int]:
        """The positions of the events shown until now."""
        return [line["position"] for line in self.lines()]

    def wait_for(self, what: str, look: Callable[[], Any], deadline_seconds: float = 15) -> Any:
        """Wait, and show both streams where that failed."""
        try:
            return wait_until(look, deadline_seconds=deadline_seconds, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._out.read_text()}\n{self.err}") from None

    def interrupt(self) -> Ended:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(10)
        assert "Traceback" not in self.err, self.err
        return Ended(code, self._out.read_text(), self.err)


def settings(kafka: str = "127.0.0.1:1", **databases: str) -> dict[str, str]:
    """The settings that name these databases."""
    pairs = ",".join(f"{service}={url}" for service, url in databases.items())
    return {"WAYBILL_OUTBOX_DATABASES": pairs, "WAYBILL_KAFKA_BOOTSTRAP": kafka}


def join(kafka: str, group: str, topic: str) -> None:
    """Let a consumer group stand at the beginning of the topic."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group})
    try:
        consumer.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
    finally:
        consumer.close()


def place_orders(count: int) -> list[UUID]:
    """Place orders in this process's database; returns their ids."""
    ids = [uuid4() for _ in range(count)]
    unit_of_work.handle(service, [place(order_id) for order_id in ids])
    return ids


def execute(database: ServiceDatabase, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Do something as the superuser."""
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        found = connection.execute(statement, values)
        return found.fetchall() if found.description is not None else []
