"""The `outbox` command as an operator runs it: a process, its two streams and its exit code."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg

from chassis import unit_of_work
from order_service.service import service
from tests.integration.relay.parts import CHECKOUT
from tests.support.databases import ServiceDatabase
from tests.support.orders import place

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
    done = subprocess.run(
        [sys.executable, "-m", "outbox_relay", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


def settings(kafka: str = "127.0.0.1:1", **databases: str) -> dict[str, str]:
    """The settings that name these databases."""
    pairs = ",".join(f"{service}={url}" for service, url in databases.items())
    return {"WAYBILL_OUTBOX_DATABASES": pairs, "WAYBILL_KAFKA_BOOTSTRAP": kafka}


def place_orders(count: int) -> list[UUID]:
    """Place orders in this process's database; returns their ids."""
    ids = [uuid4() for _ in range(count)]
    unit_of_work.handle(service, [place(order_id) for order_id in ids])
    return ids


def execute(database: ServiceDatabase, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Do something as the superuser."""
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        found = connection.execute(statement, values)
        return found.fetchall() if found.description else []
