from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.relay.broker import Broker, own_broker
from tests.integration.relay.parts import EVENT_TYPE, SCHEMA_ID, SCHEMA_VERSION, Outbox, make_topic
from tests.support.databases import ServiceDatabase


def empty(database: ServiceDatabase, kafka: str) -> Outbox:
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("INSERT INTO schema_id VALUES (%s, %s, %s)", (EVENT_TYPE, SCHEMA_VERSION, SCHEMA_ID))
    return Outbox(database, kafka, make_topic(kafka))


@pytest.fixture
def outbox(service_database: ServiceDatabase, kafka: str) -> Outbox:
    """Give an empty outbox with one schema registered, and a topic of the test's own."""
    return empty(service_database, kafka)


@pytest.fixture(scope="session")
def session_broker() -> Iterator[Broker]:
    with own_broker() as running:
        yield running


@pytest.fixture
def broker(session_broker: Broker) -> Iterator[Broker]:
    """Give a broker that the test may break: it is brought back afterwards."""
    yield session_broker
    session_broker.mend()


@pytest.fixture
def own_outbox(service_database: ServiceDatabase, broker: Broker) -> Outbox:
    """Give the same as `outbox`, on the broker that the test may break."""
    return empty(service_database, broker.bootstrap)
