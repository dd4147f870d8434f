"""A broker and a database server that a test may break, beside the session's own."""

from collections.abc import Iterator

import psycopg
import pytest

from devstack.harness.databases import Server, ServiceDatabase
from tests.support.broker import Broker, own_broker
from tests.support.databases import in_use
from tests.support.inbox import WRITERS
from tests.support.own_shop import Shop, open_shop
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.relays import Outbox, empty
from tests.support.stock import stocked
from waybill.consumer import schema_ids


@pytest.fixture(scope="session")
def session_broker() -> Iterator[Broker]:
    with own_broker() as running:
        yield running


@pytest.fixture
def broker(session_broker: Broker) -> Iterator[Broker]:
    """Give a broker that the test may break: it is brought back afterwards."""
    yield session_broker
    session_broker.repair()


@pytest.fixture
def broker_outbox(service_database: ServiceDatabase, broker: Broker) -> Outbox:
    """Give the same as `outbox`, on the broker that the test may break."""
    return empty(service_database, broker.bootstrap)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Give a PostgreSQL server that the module's tests may break."""
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="module")
def own_databases(server: PostgresServer) -> Server:
    return Server(server.superuser_url)


@pytest.fixture
def server_outbox(own_databases: Server, server: PostgresServer, kafka: str) -> Iterator[Outbox]:
    """Give the same as `outbox`, on the server that the test may break."""
    with own_databases.fresh("order_service") as database:
        yield empty(database, kafka)
        server.ensure_running()


@pytest.fixture
def own_inventory(own_databases: Server, server: PostgresServer) -> Iterator[ServiceDatabase]:
    """Give an inventory service's database on the server that the test may break; this process's Django talks to it."""
    with own_databases.fresh("inventory_service") as database, in_use(database.service_url):
        yield database
        server.ensure_running()


@pytest.fixture
def shop(own_databases: Server, server: PostgresServer, broker: Broker) -> Iterator[Shop]:
    """Give an order service on a database server and a broker that the test may break."""
    with open_shop(own_databases, broker) as opened:
        yield opened
        server.ensure_running()


@pytest.fixture
def inventory(inventory_database):
    """A stock of lamps, and the schema ids as registration leaves them."""
    with psycopg.connect(inventory_database.owner_url, autocommit=True) as owner:
        for schema_id, event in WRITERS.items():
            owner.execute("INSERT INTO waybill_schema_id VALUES (%s, 1, %s)", [event.event_type, schema_id])
    schema_ids._writers.cache_clear()
    stocked("LAMP", 10)
    return inventory_database
