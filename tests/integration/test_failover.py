"""A failover whose address leads to the demoted server for a while: 503 meanwhile, then every program goes on."""

import json
import os
import time
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event

import pytest

from devstack.harness.databases import Server
from tests.support.broker import Broker
from tests.support.forwarder import Forwarder, forwarder
from tests.support.own_shop import Shop, open_shop
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.programs import Program
from tests.support.relays import read_topic

pytestmark = pytest.mark.slow

AT_ONCE = 16
CLIENTS = 4
OUTDATED_SECONDS = 10.0  # how long the name leads to the demoted server
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'order_service.web'"


@dataclass
class Load:
    """What came of a steady stream of orders."""

    statuses: Counter[int] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    """An id for each idempotency key that was used."""


@contextmanager
def orders_flowing(web: Program) -> Generator[Load]:
    """Place orders until the block ends, each by a client that tries again with its key until it is taken."""
    load, stop = Load(), Event()

    def client() -> None:
        while not stop.wait(0.02):
            key, status = os.urandom(8).hex(), 0
            while status != 202:
                status, said = web.order(key=key)
                load.statuses[status] += 1
                if status not in {202, 503}:
                    raise AssertionError(f"{status}: {said}")
                stop.wait(0.1 if status == 503 else 0)
            load.accepted.append(json.loads(said)["id"])

    with ThreadPoolExecutor(CLIENTS) as threads:
        clients = [threads.submit(client) for _ in range(CLIENTS)]
        try:
            yield load
        finally:
            stop.set()
        for one in clients:
            one.result(60)


def through(address: Forwarder, url: str, server: PostgresServer) -> str:
    return url.replace(f":{server.port}/", f":{address.port}/")


def answers(web: Program) -> Counter[int]:
    """The statuses of orders that are placed at once, so that every thread has its part."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return Counter(status for status, _ in threads.map(lambda _: web.order(), range(AT_ONCE)))


def reads(web: Program) -> set[int]:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return {status for status, _ in threads.map(lambda _: web.ask("/v1/orders"), range(AT_ONCE))}


def fence(server: PostgresServer) -> None:
    """Make a server take no writes; who has a session keeps it."""
    server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    server.execute("SELECT pg_reload_conf()")


def unfence(server: PostgresServer) -> None:
    server.execute("ALTER SYSTEM RESET default_transaction_read_only")
    server.execute("SELECT pg_reload_conf()")


def test_no_session_stays_on_a_demoted_server(broker: Broker) -> None:
    with (
        postgres_server() as demoted,
        open_shop(Server(demoted.superuser_url), broker) as shop,
        demoted.standby() as standby,
        forwarder(demoted.port) as address,
    ):
        url = through(address, shop.database.service_url, demoted)
        relocated = shop.database.superuser_url.replace(f":{demoted.port}/", f":{standby.port}/")
        after = Shop(replace(shop.database, superuser_url=relocated), shop.bootstrap, shop.ids)
        try:
            with shop.run("web", url) as web, shop.run("consumer", url) as consumer, shop.run("worker", url) as worker:
                for one in (web, consumer, worker):
                    one.wait_for("readiness", lambda one=one: one.unready() is None, 60)
                shop.list_product("LAMP")
                consumer.wait_for("the price", lambda: shop.priced("LAMP"), 60)
                assert set(answers(web)) == {202}
                assert demoted.execute(SESSIONS)[0][0] > 1

                fence(demoted)
                standby.promote()
                assert web.order()[0] == 503  # one thread's session ends by that, and the others' with it
                for one in (web, consumer, worker):
                    one.wait_for("the reason", lambda one=one: "read-only" in (one.unready() or ""))

                address.lead_to(standby.port)
                for one in (web, consumer, worker):
                    one.wait_for("readiness", lambda one=one: one.unready() is None)
                web.wait_for("no session there", lambda: reads(web) == {200} and demoted.execute(SESSIONS) == [(0,)])
                assert set(answers(web)) == {202}
                shop.list_product("CHAIR")
                consumer.wait_for("the price", lambda: after.priced("CHAIR"))
                assert after.dead_letters() == []
        finally:
            unfence(demoted)


def test_orders_go_on_after_a_failover_whose_name_still_leads_to_the_demoted_server(broker: Broker) -> None:
    with (
        postgres_server() as demoted,
        open_shop(Server(demoted.superuser_url), broker) as shop,
        demoted.standby() as standby,
        forwarder(demoted.port) as address,
    ):
        url = through(address, shop.database.service_url, demoted)
        relocated = shop.database.superuser_url.replace(f":{demoted.port}/", f":{standby.port}/")
        after = Shop(replace(shop.database, superuser_url=relocated), shop.bootstrap, shop.ids)
        relay_url = through(address, shop.database.relay_url, demoted)
        try:
            with (
                shop.run("web", url) as web,
                shop.run("consumer", url) as consumer,
                shop.run("worker", url) as worker,
                shop.run("relay", relay_url) as relay,
            ):
                programs = (web, consumer, worker, relay)
                for one in programs:
                    one.wait_for("readiness", lambda one=one: one.unready() is None, 60)
                shop.list_product("LAMP")
                consumer.wait_for("the price", lambda: shop.priced("LAMP"), 60)
                with orders_flowing(web) as load:
                    web.wait_for("orders", lambda: len(load.accepted) > 20)
                    demoted.stop()  # whoever is connected is sent away, and the standby gets all that was committed
                    standby.promote()
                    demoted.start_as_standby()
                    led_there = time.monotonic()
                    shop.list_product("CHAIR")
                    for one in programs:
                        one.wait_for("the reason", lambda one=one: "read-only" in (one.unready() or ""), 10)
                    web.wait_for("the end of that time", lambda: time.monotonic() > led_there + OUTDATED_SECONDS)
                    address.lead_to(standby.port)
                    for one in programs:
                        one.wait_for("readiness", lambda one=one: one.unready() is None)
                    before = len(load.accepted)
                    web.wait_for("orders", lambda: len(load.accepted) > before + 20)
                assert load.statuses.keys() == {202, 503}
                consumer.wait_for("the price", lambda: after.priced("CHAIR"))
                relay.wait_for("publication", lambda: not after.unpublished())
            orders = {str(found) for (found,) in after.execute("SELECT order_id FROM orders")}
            assert orders == set(load.accepted)
            assert len(load.accepted) == len(orders)
            written = {
                str(event) for (event,) in after.execute("SELECT event_id FROM waybill_outbox WHERE topic IS NOT NULL")
            }
            published = [record.headers["ce_id"] for record in read_topic(broker.bootstrap, "order.events.v1")]
            assert written <= set(published)
            assert after.dead_letters() == []
        finally:
            demoted.promote()


def test_a_session_that_only_reads_leaves_a_demoted_server_too(broker: Broker) -> None:
    with postgres_server() as demoted, open_shop(Server(demoted.superuser_url), broker) as shop:
        try:
            with shop.run("web", shop.database.service_url) as web:
                web.wait_for("readiness", lambda: web.unready() is None, 60)
                assert web.ask("/v1/orders")[0] == 200
                fence(demoted)
                web.wait_for("the reason", lambda: "read-only" in (web.unready() or ""))
                assert web.ask("/v1/orders")[0] == 503
        finally:
            unfence(demoted)
