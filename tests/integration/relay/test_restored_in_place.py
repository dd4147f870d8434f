"""A database restored in place looks like itself; the topics have records whose events it does not have."""

import re
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from confluent_kafka import Producer
from psycopg import sql

from devstack.harness.databases import Server
from outbox_relay.operations import audit, decisions
from tests.support.broker import Broker
from tests.support.relays import TRANSACTIONS, Outbox, RelayProcess, append, empty, read_topic, relay

pytestmark = pytest.mark.slow

ANOTHER = {"WAYBILL_SERVICE": "inventory_service"}


@pytest.fixture
def outbox(own_databases: Server, broker: Broker) -> Iterator[Outbox]:
    """Give an outbox on a server and a broker of the tests' own: nobody else writes under this service's name."""
    with own_databases.fresh("order_service") as database:
        yield empty(database, broker.bootstrap)


@contextmanager
def copied(outbox: Outbox) -> Iterator[Callable[[], None]]:
    """Copy the database, to which nobody may be connected; gives what puts the copy back in its place."""
    name, copy = sql.Identifier(outbox.database.name), sql.Identifier(f"{outbox.database.name}_copy")
    with psycopg.connect(outbox.database.superuser_url, dbname="postgres", autocommit=True) as server:

        def put_back() -> None:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
            server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(copy, name))

        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER test_owner").format(copy, name))
        try:
            yield put_back
        finally:
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(copy))


def publish(outbox: Outbox, *versions: int, **settings: str) -> None:
    """Write versions of one aggregate, and let a relay of their own publish them."""
    with relay(outbox, **settings) as running:
        write(outbox, *versions)
        running.wait_for("publication", lambda: outbox.cursor() == (_last(outbox), []), 20)
        running.stop()


def write(outbox: Outbox, *versions: int) -> None:
    with outbox.connect() as writer:
        for version in versions:
            append(writer, outbox.topic, "a", version)


def _last(outbox: Outbox) -> int:
    return outbox.execute("SELECT max(position) FROM waybill_outbox")[0][0]


def gauge(running: RelayProcess) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/metrics", timeout=5) as answer:
        told = answer.read().decode()
    return float(re.search(r"^outbox_records_without_event\{.*\} (\S+)", told, re.MULTILINE)[1])


def said(running: RelayProcess) -> dict[str, object]:
    return running.wait_for("what it says", lambda: running.events("records_without_event"), 30)[0]


def checked(running: RelayProcess) -> dict[str, object]:
    return running.wait_for("its check", lambda: running.events("restore_checked"), 30)[0]


def acknowledge(outbox: Outbox, event_id: str) -> None:
    with psycopg.connect(outbox.database.service_url) as connection:
        action = audit.record(connection, "acknowledge", "restored", {})
        subject = decisions.Subject(UUID(event_id), None, outbox.topic, None, None, "a")
        decisions.record(connection, decisions.Kind.ACKNOWLEDGED_GHOST, [subject], action)


def test_a_restore_in_place_is_logged_as_an_error_and_shown_until_it_is_acknowledged(outbox: Outbox):
    publish(outbox, 1, 2, 3)
    with copied(outbox) as put_back:
        publish(outbox, 4, 5)
        put_back()
    ghosts = [record for record in read_topic(outbox.kafka, outbox.topic) if record.version > 3]
    with relay(outbox) as running:
        told = said(running)
        assert (told["level"], told["count"], told["service"]) == ("error", 2, "order_service")
        assert told["records"] == [f"{record.place} event {record.headers['ce_id']}" for record in ghosts]
        assert "outbox verify" in str(told["remedy"])
        assert not running.events("relay_meets_another_server")
        assert gauge(running) == 2
        write(outbox, 4, 5, 6)
        outbox.wait_for_cursor(6)
        assert running.unready() is None
        acknowledge(outbox, ghosts[0].headers["ce_id"])
        running.wait_for("one left", lambda: gauge(running) == 1, 20)
        acknowledge(outbox, ghosts[1].headers["ce_id"])
        running.wait_for("none left", lambda: gauge(running) == 0, 20)


def test_a_restore_is_found_once_the_broker_that_was_away_is_back(outbox: Outbox, broker: Broker):
    publish(outbox, 1)
    with copied(outbox) as put_back:
        publish(outbox, 2)
        put_back()
    write(outbox, 2, 3)
    broker.kill()
    with relay(outbox) as running:
        running.wait_for("its waiting", lambda: running.events("restore_check_waits"), 30)
        assert running.events("relay_leads")
        assert gauge(running) == 0
        broker.start()
        assert said(running)["count"] == 1
        outbox.wait_for_cursor(3, deadline_seconds=30)


@pytest.mark.parametrize("settings", [{}, TRANSACTIONS], ids=["no transactions", "transactions"])
def test_an_ordinary_restart_finds_nothing(outbox: Outbox, own_databases: Server, settings: dict[str, str]):
    """Neither a backlog, nor the marks of transactions, nor replays, nor another service on the topic are a restore."""
    publish(outbox, 1, 2, 3, **settings)
    with own_databases.fresh("inventory_service") as database:
        another = Outbox(database, outbox.kafka, outbox.topic)
        another.execute("INSERT INTO waybill_schema_id SELECT 'waybill.order.OrderPlaced', 1, 77")
        publish(another, 1, 2, **ANOTHER, **settings)
    replayed = {"ce_id": str(uuid4()), "ce_source": "/waybill/order_service", "ce_replayid": "7"}
    producer = Producer({"bootstrap.servers": outbox.kafka})
    producer.produce(outbox.topic, b"", b"a", headers=list(replayed.items()))
    assert producer.flush(20) == 0
    write(outbox, 4, 5, 6)
    with relay(outbox, **settings) as running:
        found = checked(running)
        assert found["records"] >= 3
        assert found["without_event"] == 0
        outbox.wait_for_cursor(6)
        assert not running.events("records_without_event")
