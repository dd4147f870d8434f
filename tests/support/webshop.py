"""The webshop of examples/monolith beside the session's stack: its database, its relay and its `migrate run`."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid5

import psycopg
from confluent_kafka.admin import AdminClient

from devstack.harness.stack import CHECKOUT, Stack
from tests.support.environments import surroundings
from tests.support.topics import wait_until_read

FOLDER: Final = CHECKOUT / "examples" / "monolith"
NAMESPACE: Final = UUID("3e8b4c7e-0d7c-4c7d-9b43-5b6a3d0c6f52")  # of migrate.toml
FIRST: Final = 70_001  # of the ids here: no other test's webshop has the same
STOP_SECONDS: Final = 20
COMMAND_SECONDS: Final = 120
PEOPLE: Final = """
INSERT INTO auth_user (id, username, password, is_superuser, is_staff, is_active, date_joined, first_name, last_name,
    email) VALUES (%(id)s, 'ann', '', false, false, true, now(), '', '', '');
INSERT INTO customers_customer (id, user_id, name, email, phone, created_at)
    VALUES (%(id)s, %(id)s, 'Ann', '', '', now());
INSERT INTO catalogue_product (id, name, description, price, stock, on_sale, created_at)
    VALUES (%(id)s, 'Pan', '', 19.99, %(stock)s, true, now());
"""
ORDER: Final = """
WITH placed AS (
    INSERT INTO orders_order (id, customer_id, status, placed_at, shipped_at, name, email, street, postcode, city, note,
        total)
    SELECT %(id)s + n, %(customer)s, %(status)s, timestamptz '2025-03-01 10:00Z' - n * interval '1 day',
        CASE WHEN %(status)s = 'shipped' THEN timestamptz '2025-03-02 10:00Z' END, 'Ann', '', '', '', '', '', 19.99
    FROM generate_series(0, %(more)s) AS n RETURNING id)
INSERT INTO orders_orderline (order_id, product_id, name, price, quantity)
    SELECT id, %(customer)s, 'Pan', 19.99, 1 FROM placed
"""
READERS: Final = {
    "shop.orders.v1": ("order_service", "console_service"),
    "shop.products.v1": ("inventory_service", "console_service"),
}


def told_as(table: str, key: int) -> str:
    """Return the id under which the webshop tells of a row."""
    return str(uuid5(NAMESPACE, f"{table}:{key}"))


@dataclass
class Webshop:
    """The webshop with a database of its own on the stack's server."""

    stack: Stack
    name: str
    log: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def execute(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """What the database answers."""
        with psycopg.connect(
            self.stack.database(self.name), autocommit=True, cursor_factory=psycopg.ClientCursor
        ) as it:
            found = it.execute(statement, values or None)
            return found.fetchall() if found.description else []

    def fill(self, stock: int) -> None:
        """Give it a customer and a product."""
        self.execute(PEOPLE, id=FIRST, stock=stock)

    def order(self, first: int, count: int, status: str) -> None:
        """Let the customer have these orders, a day apart, the first one the newest."""
        self.execute(ORDER, id=first, customer=FIRST, status=status, more=count - 1)

    def manage(self, *arguments: str) -> None:
        done = self._run("manage.py", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def migrate(self, verb: str, *arguments: str, aggregate: str, code: int = 0) -> list[dict[str, Any]]:
        """What `python -m waybill migrate` answers, a line an object."""
        done = self._run("-m", "waybill", "migrate", verb, *arguments, "--aggregate", aggregate, "--json")
        assert done.returncode == code, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def start(self, *arguments: str) -> None:
        """Start a program; it is killed at the end."""
        with self.log.open("ab") as log:
            program = subprocess.Popen(
                [sys.executable, *arguments], cwd=FOLDER, env=self._environment(), stdout=log, stderr=log
            )
        self.running.append(program)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            cwd=FOLDER,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )

    def _environment(self) -> dict[str, str]:
        server = urlsplit(self.stack.superuser_url)
        return surroundings(
            DB_NAME=self.name,
            DB_USER=server.username or "",
            DB_PASSWORD=server.password or "",
            DB_HOST=server.hostname or "",
            DB_PORT=str(server.port),
            WAYBILL_KAFKA_BOOTSTRAP=self.stack.kafka,
            WAYBILL_REGISTRY_URL=f"{self.stack.urls['registry']}/apis/ccompat/v7",
            ORDER_DATABASE_URL=self.stack.state["databases"]["order"],
            INVENTORY_DATABASE_URL=self.stack.state["databases"]["inventory"],
            PYTHONPATH=str(CHECKOUT),
            DJANGO_SETTINGS_MODULE="shop.settings.moving",
        )


@contextmanager
def webshop(stack: Stack, folder: Path) -> Iterator[Webshop]:
    """Migrated and registered, and its relay runs; nothing is left of it."""
    made = Webshop(stack, f"webshop_{uuid.uuid4().hex[:8]}", folder / "webshop.log")
    with psycopg.connect(stack.superuser_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {made.name}")
    try:
        made.manage("migrate", "-v0")
        made.manage("contracts", "register")
        made.start("manage.py", "relay")
        yield made
    finally:
        for program in made.running:
            program.kill()
            program.wait(STOP_SECONDS)
        with psycopg.connect(stack.superuser_url, autocommit=True) as server:
            server.execute(f"DROP DATABASE {made.name} WITH (FORCE)")
        _remove_records(stack.kafka)


def _remove_records(kafka: str) -> None:
    """Remove what the webshop's topics have, once it was read: to `outbox verify` it has no row any more."""
    ends = [end for topic, groups in READERS.items() for end in wait_until_read(kafka, topic, groups)]
    admin = AdminClient({"bootstrap.servers": kafka})  # kept: its answers end with it
    for removed in admin.delete_records(ends).values():
        removed.result(30)
