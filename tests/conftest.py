"""Fixtures on real parts. One stack a session: PostgreSQL, Kafka, registry and every program of the system.

Tests marked `slow` run with `--slow` (`make test-all`), and where they are asked for by file, by id or with `-m`. Those
marked `containers` build images, and run only where `-m` names them.
`WAYBILL_TEST_STACK=containers` takes PostgreSQL, Kafka and the registry from testcontainers instead of local parts.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

import catalogue.configured  # noqa: F401 - configures Django
from devstack.harness import databases
from devstack.harness import stack as stacks
from devstack.harness.interrupts import end_tidily
from tests.support import containers, workers
from tests.support import otlp as otlp_receiver
from tests.support.databases import in_use

if workers.is_worker():
    workers.end_with_the_run()
else:
    end_tidily()

WORKERS: list[Any] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run have every test."""
    parser.addoption("--slow", action="store_true", help="run the tests that are marked slow too")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say that a run has not every test."""
    return None if takes_slow(config) else "without slow tests (--slow runs them too)"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the slow tests that nobody asked for; of a whole run, files with many slow ones come first."""
    if "containers" not in (config.getoption("-m") or ""):
        leave_out({item for item in items if item.get_closest_marker("containers")}, config, items)
    slow = {item for item in items if item.get_closest_marker("slow")}
    if takes_slow(config):
        slow_of = Counter(item.path for item in slow)
        items.sort(key=lambda item: -slow_of[item.path])
        return
    named = {file.resolve() for file in (Path(given.partition("::")[0]) for given in config.args) if file.is_file()}
    leave_out({item for item in slow if item.path not in named}, config, items)


def leave_out(left_out: set[pytest.Item], config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take tests out of the run, and have pytest count them."""
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))


def takes_slow(config: pytest.Config) -> bool:
    """Tell whether slow tests run wherever they are."""
    return bool(config.getoption("--slow") or config.getoption("-m"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Know each process that runs tests for this one."""
    WORKERS.append(node)


def pytest_keyboard_interrupt() -> None:
    """Let them end as this one does."""
    workers.interrupt(WORKERS)


# A traceback with every frame's locals, the default, takes seconds each where they hold a batch of messages.
plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
PROCESSORS = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, plain]
structlog.configure(processors=PROCESSORS)


@pytest.fixture(autouse=True)
def logging_left_alone() -> Iterator[None]:
    """Fail where a test leaves logging as it set it: later ones would be slow, or print elsewhere."""
    yield
    left = structlog.get_config()["processors"]
    structlog.configure(processors=PROCESSORS)
    assert left is PROCESSORS, "configure logging within tests.support.program_log.program_log()"


@pytest.fixture(scope="session")
def otlp() -> Iterator[otlp_receiver.Receiver]:
    """The receiver of the session's stack: it gets the spans of requests that come with a trace, and no others."""
    with otlp_receiver.receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def stack(otlp: otlp_receiver.Receiver) -> Iterator[stacks.Stack]:
    """The whole system, running."""
    telemetry = {"WAYBILL_OTLP_ENDPOINT": otlp.url, "WAYBILL_TRACE_RATIO": "0"}
    with (
        tempfile.TemporaryDirectory(prefix="waybill-test-", ignore_cleanup_errors=True) as folder,
        containers.given() as environment,
        stacks.running(Path(folder), **environment, **telemetry) as running,
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
    with in_use(service_database.service_url):
        yield service_database


@pytest.fixture
def inventory_database(database_server: databases.Server) -> Iterator[databases.ServiceDatabase]:
    """A fresh, migrated database of the inventory service, as this process's Django database."""
    with database_server.fresh("inventory_service") as database, in_use(database.service_url):
        yield database
