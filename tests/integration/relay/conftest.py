import pytest

from tests.integration.relay.parts import Outbox, empty
from tests.support.databases import ServiceDatabase


@pytest.fixture
def outbox(service_database: ServiceDatabase, kafka: str) -> Outbox:
    """Give an empty outbox with one schema registered, and a topic of the test's own."""
    return empty(service_database, kafka)
