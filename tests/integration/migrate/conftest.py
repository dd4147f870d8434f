"""A webshop's database of the test's own, beside tables that have what the webshop has not."""

import uuid
from collections.abc import Iterator

import pytest
from django.db import connection

from tests.support import applying
from tests.support.applying import Made, Side
from tests.support.databases import in_use
from tests.support.moving import Bookings, Monolith, monolith
from tests.support.postgres import postgres_server


@pytest.fixture(scope="session")
def migrated() -> Iterator[Monolith]:
    """The webshop on a server that a test may kill: `shop` brings it back."""
    with postgres_server() as server, monolith(server) as made:
        yield made


@pytest.fixture
def shop(migrated: Monolith) -> Iterator[Monolith]:
    """The webshop, empty; its programs are killed afterwards."""
    name = f"moving_{uuid.uuid4().hex[:8]}"
    migrated.server.execute(f"CREATE DATABASE {name} TEMPLATE {migrated.name}")
    with migrated.another(name) as made:
        yield made


@pytest.fixture
def bookings(shop: Monolith, tmp_path) -> Iterator[Bookings]:
    """Two tables, and this process's Django on their database."""
    with in_use(shop.url):
        yield Bookings.made(shop, tmp_path)
        connection.close()


@pytest.fixture
def other(migrated: Monolith) -> Iterator[Monolith]:
    """The database of another side."""
    name = f"moving_{uuid.uuid4().hex[:8]}"
    migrated.server.execute(f"CREATE DATABASE {name} TEMPLATE {migrated.name}")
    with migrated.another(name) as made:
        yield made


@pytest.fixture
def two(shop: Monolith, other: Monolith, tmp_path) -> Made:
    """Two databases with the same tables: the first tells of its rows, the second applies them."""

    def made(text: str = applying.MAPPING) -> tuple[Side, Side]:
        here, there = Side.made(shop, "here", tmp_path, text), Side.made(other, "there", tmp_path, text)
        here.capture()
        there.owns(really=False)
        return here, there

    return made
