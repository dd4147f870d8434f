import pytest

from devstack.harness.databases import ServiceDatabase
from tests.support.relays import Outbox, empty


@pytest.fixture
def outbox(service_database: ServiceDatabase, kafka: str) -> Outbox:
    """Give an empty outbox with one schema registered, and a topic of the test's own."""
    return empty(service_database, kafka)
