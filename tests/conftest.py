"""Fixtures on real parts. One stack a session: PostgreSQL, Kafka, registry and every program of the system.

`WAYBILL_TEST_STACK=containers` takes PostgreSQL, Kafka and the registry from testcontainers instead of local parts.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.support import containers, databases, services, workers
from tests.support import stack as stacks
from tests.support.interrupts import end_tidily

if workers.is_worker():
    workers.end_with_the_run()
else:
    end_tidily()

WORKERS: list[Any] = []


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Know each process that runs tests for this one."""
    WORKERS.append(node)


def pytest_keyboard_interrupt() -> None:
    """Let them end as this one does."""
    workers.interrupt(WORKERS)


services.configure()

# A traceback with every frame's locals, the default, takes seconds each where they hold a batch of messages.
plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, plain])


@pytest.fixture(scope="session")
def stack() -> Iterator[stacks.Stack]:
    """The whole system, running."""
    with (
        tempfile.TemporaryDirectory(prefix="waybill-test-", ignore_cleanup_errors=True) as folder,
        containers.given() as environment,
        stacks.running(Path(folder), **environment) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def kafka(stack: stacks.Stack) -> str:
    """Kafka's bootstrap address."""
    return stack.kafka


@pytest.fixture(scope="session")
def database_server(stack: stacks.Stack) -> databases.Server:
    """The session's PostgreSQL, for databases of a test's own."""
    return databases.Server(stack.superuser_url)


@pytest.fixture
def service_database(database_server: databases.Server) -> Iterator[databases.ServiceDatabase]:
    """A fresh, migrated database of the order service."""
    with database_server.fresh("order_service") as database:
        yield database


@pytest.fixture
def order_database(service_database: databases.ServiceDatabase) -> Iterator[databases.ServiceDatabase]:
    """The same, as this process's Django database."""
    with databases.in_use(service_database.service_url):
        yield service_database


@pytest.fixture
def inventory_database(database_server: databases.Server) -> Iterator[databases.ServiceDatabase]:
    """A fresh, migrated database of the inventory service, as this process's Django database."""
    with database_server.fresh("inventory_service") as database, databases.in_use(database.service_url):
        yield database
