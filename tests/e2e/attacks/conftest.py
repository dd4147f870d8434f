"""One web program of the order service and a PostgreSQL, for all attacks: no Kafka, no relay, nobody else."""

from collections.abc import Iterator

import psycopg
import pytest
from cryptography.fernet import Fernet

from devstack.harness.databases import Server, ServiceDatabase
from tests.support.attacker import Attacker
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.programs import Program, program

KEY = Fernet.generate_key().decode()


@pytest.fixture(scope="session")
def own_server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="session")
def own_database(own_server: PostgresServer) -> Iterator[ServiceDatabase]:
    with Server(own_server.superuser_url).fresh("order_service") as database:
        with psycopg.connect(database.superuser_url, autocommit=True) as session:
            session.execute("INSERT INTO prices (sku, unit_price, currency) VALUES ('LAMP', 100, 'EUR')")
        yield database


@pytest.fixture(scope="session")
def web(own_database: ServiceDatabase) -> Iterator[Program]:
    with program("web", own_database.service_url, WAYBILL_ENCRYPTION_KEYS=KEY) as running:
        running.wait_for("readiness", lambda: running.unready() is None, 60)
        yield running


@pytest.fixture(scope="session")
def attacker(web: Program) -> Attacker:
    return Attacker(web, web.token("orders"))


@pytest.fixture(autouse=True)
def unharmed(web: Program) -> Iterator[None]:
    """After every attack the program answers, within a second, and has logged no error: strangers call no operator."""
    before = len(web.errors)
    yield
    assert web.ask("/livez")[0] == 200
    assert web.ask("/v1/orders?limit=1")[0] == 200
    assert [str(one) for one in web.errors[before:]] == []
