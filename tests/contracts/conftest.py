"""The real parts that these suites run on."""

from collections.abc import Iterator

import pytest

from devstack.harness.databases import Server
from devstack.harness.stack import Stack
from tests.support import reviews


@pytest.fixture
def registry_url(stack: Stack) -> str:
    """Give the Confluent API of a real registry."""
    return f"{stack.urls['registry']}/apis/ccompat/v7"


@pytest.fixture
def kafka_bootstrap(kafka: str) -> str:
    """Give a real broker."""
    return kafka


@pytest.fixture
def owner_database_url(database_server: Server) -> Iterator[str]:
    """Give a database in which the test may create schemas of its own."""
    with database_server.fresh("order_service") as database:
        yield database.owner_url


@pytest.fixture(scope="session")
def reviews_service(database_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[reviews.Reviews]:
    """Run the example service in Go: one for all, since a topic has the events of one database."""
    with reviews.running(database_server, tmp_path_factory.mktemp("reviews")) as service:
        yield service
