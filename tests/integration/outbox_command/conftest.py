import psycopg
import pytest

from tests.integration.relay.parts import EVENT_TYPE, SCHEMA_ID, SCHEMA_VERSION, Outbox, make_topic
from tests.support.databases import ServiceDatabase


@pytest.fixture
def own_outbox(service_database: ServiceDatabase, kafka: str) -> Outbox:
    """An empty outbox with one schema registered, and a topic of the test's own."""
    with psycopg.connect(service_database.owner_url, autocommit=True) as owner:
        owner.execute("INSERT INTO schema_id VALUES (%s, %s, %s)", (EVENT_TYPE, SCHEMA_VERSION, SCHEMA_ID))
    return Outbox(service_database, kafka, make_topic(kafka))
