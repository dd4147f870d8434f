"""A failover whose address leads to the demoted server for a while: 503 meanwhile, then every program goes on."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tests.integration.relay.broker import Broker
from tests.integration.relay.postgres import PostgresServer, postgres_server
from tests.integration.shop import Shop, open_shop
from tests.support.databases import Server
from tests.support.forwarder import Forwarder, forwarder
from tests.support.programs import Program

AT_ONCE = 16
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'order_service.web'"


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
