"""Where the real parts are that these suites run on; a suite whose part is not named does not run, and says so."""

import os

import pytest


def _named(variable: str) -> str:
    if value := os.environ.get(variable):
        return value
    pytest.skip(f"{variable} is not set: no real part to run on")


@pytest.fixture
def registry_url() -> str:
    """Give the Confluent API of a real registry."""
    return _named("WAYBILL_REGISTRY_URL")


@pytest.fixture
def kafka_bootstrap() -> str:
    """Give a real broker."""
    return _named("WAYBILL_KAFKA_BOOTSTRAP")


@pytest.fixture
def owner_database_url() -> str:
    """Give a database in which the test may create schemas of its own."""
    return _named("WAYBILL_TEST_DATABASE_URL")
