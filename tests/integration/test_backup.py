"""One service is restored to a moment, and what was published since is found on the topics and taken back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from devstack.harness.databases import Server, ServiceDatabase
from devstack.harness.wait import wait_until
from tests.support.broker import Broker
from tests.support.databases import in_use
from tests.support.outbox_command import Ended, outbox, place_orders, settings
from tests.support.own_shop import Shop, open_shop
from tests.support.postgres import PostgresServer, postgres_server, server_folder

pytestmark = pytest.mark.slow

ORDERS = "SELECT order_id FROM orders"


@pytest.fixture
def archive() -> Iterator[Path]:
    """A folder for WAL and base backups, which the server's user may write to."""
    with server_folder() as folder:
        yield folder


@pytest.fixture
def server(archive: Path) -> Iterator[PostgresServer]:
    """A server that archives its WAL, as the how-to page sets it."""
    with postgres_server() as server:
        server.execute("ALTER SYSTEM SET archive_mode = on")
        server.execute(f"ALTER SYSTEM SET archive_command = 'test ! -f {archive}/%f && cp %p {archive}/%f'")
        server.stop()
        server.start()
        yield server


@pytest.fixture
def shop(server: PostgresServer, broker: Broker) -> Iterator[Shop]:
    with open_shop(Server(server.superuser_url), broker) as shop:
        yield shop


def command(shop: Shop, *arguments: str) -> Ended:
    where = settings(shop.bootstrap, order=shop.database.service_url)
    return outbox(*arguments, WAYBILL_OWNER_DATABASE_URL=shop.database.owner_url, **where)


def publish(shop: Shop) -> None:
    with shop.run("relay"):
        wait_until(lambda: shop.unpublished() == 0, deadline_seconds=30, what="publication")


def place(database: ServiceDatabase, count: int) -> set[UUID]:
    with in_use(database.service_url):
        return set(place_orders(count))


def orders(shop: Shop) -> set[UUID]:
    return {order_id for (order_id,) in shop.execute(ORDERS)}


def test_a_service_is_restored_to_a_moment_and_takes_back_what_was_published_since(
    server: PostgresServer, shop: Shop, archive: Path
):
    before = place(shop.database, 1)
    publish(shop)
    server.back_up_to(archive / "base")
    before |= place(shop.database, 1)  # in no base backup, and in the WAL
    publish(shop)
    ((moment,),) = server.execute("SELECT clock_timestamp()")
    since = place(shop.database, 2)
    publish(shop)
    server.execute("SELECT pg_switch_wal()")
    server.stop()
    server.recover(archive / "base", archive, moment)
    assert orders(shop) == before
    found = command(shop, "verify", "--full", "--no-rows", "--json")
    *ghosts, counts = found.lines()
    assert (found.code, counts["ghost"], {UUID(one["key"]) for one in ghosts}) == (1, 2, since)
    for one in sorted(ghosts, key=lambda one: one["version"]):
        taken_back = command(shop, *taking_back(one))
        assert taken_back.code == 0, taken_back.err
    rows = ("--service", "order", "--execute", "--reason", "restored", "--by", "ana")
    assert command(shop, "rebuild", "--repair", *rows).code == 0
    assert orders(shop) == before | since
    publish(shop)
    proof = command(shop, "verify", "--full", "--json")
    assert (proof.code, proof.lines()[-1]["events"], proof.lines()[-1]["repeated"]) == (0, 4, 2)


def taking_back(ghost: dict[str, Any]) -> list[str]:
    record = {name: str(ghost[name]) for name in ("topic", "partition", "offset")}
    named = [part for name, value in record.items() for part in (f"--{name}", value)]
    return ["restore", "--service", "order", *named, "--execute", "--reason", "restored", "--by", "ana"]


def test_a_dump_of_one_database_is_of_one_moment_and_goes_on_where_it_was(server: PostgresServer, shop: Shop):
    """A dump has no moment to choose: what came after it is a ghost."""
    place(shop.database, 1)
    publish(shop)
    dumped = server.dump(shop.database.name)
    since = place(shop.database, 1)
    publish(shop)
    server.load(shop.database.name, dumped)
    found = command(shop, "verify", "--full", "--no-rows", "--json")
    assert (found.code, [UUID(one["key"]) for one in found.lines()[:-1]]) == (1, [*since])
    with psycopg.connect(shop.database.service_url) as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("DELETE FROM waybill_outbox")
    done = command(
        shop, "acknowledge", "--service", "order", "--all", "--execute", "--reason", "restored", "--by", "ana"
    )
    assert done.code == 0, done.err
    place(shop.database, 1)
    publish(shop)
    assert command(shop, "verify", "--full").code == 0
