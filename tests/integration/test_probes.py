"""What asks a program for its health costs it one session at most, and cannot hold or disturb it."""

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import psycopg
import pytest

from devstack.harness.databases import Server, ServiceDatabase
from devstack.harness.wait import wait_until
from tests.support.postgres import PostgresServer
from tests.support.programs import Program, program
from tests.support.providers.process import free_port
from waybill.observability.readiness import CACHE_SECONDS

PROBES = 300
KINDS = ("web", "consumer", "worker")


@pytest.fixture(scope="module")
def database(own_databases: Server) -> Iterator[ServiceDatabase]:
    with own_databases.fresh("order_service") as fresh:
        yield fresh


def test_readiness_names_no_address_and_no_user_and_the_log_does(database: ServiceDatabase) -> None:
    user, password, port = "somebody_else", "not-a-password", database.service_url.rpartition(":")[2].partition("/")[0]
    url = re.sub(r"//[^@]*@", f"//{user}:{password}@", database.service_url)
    with program("web", url) as running:
        said = running.wait_for("the reason", running.unready, 60)
        said = running.wait_for(
            "what the server said", lambda: "FATAL" in (running.unready() or "") and running.unready()
        )
        told = [said, running.ask("/metrics")[1]]
        assert not [word for word in (user, password, "127.0.0.1", port, database.name) if word in " ".join(told)], said
        assert any(user in one["reason"] for one in running.events("not ready"))
        assert password not in running.log


OWN_SESSIONS = 2  # of its work, and of its heartbeat and metrics, which may come a moment later


def sessions(server: PostgresServer, database: ServiceDatabase) -> int:
    return server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database.name}'")[0][0]


def reached(running: Program) -> None:
    running.wait_for("an answer", lambda: running.ask("/livez")[0] == 200, 60)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_probes_costs_one_session(kind: str, server: PostgresServer, database: ServiceDatabase) -> None:
    with program(kind, database.service_url) as running:
        reached(running)
        running.wait_for("sessions of its work", lambda: kind == "web" or sessions(server, database) > 0)
        before = sessions(server, database)
        with ThreadPoolExecutor(PROBES) as threads:
            at_once = list(threads.map(lambda _: running.unready(), range(PROBES)))
        after_another = [running.unready() for _ in range(PROBES)]
        assert sessions(server, database) <= max(before, OWN_SESSIONS) + 1
        assert not [said for said in [*at_once, *after_another] if said == "does not answer"]
        assert running.unready() is None or kind == "consumer", running.unready()


def test_readiness_tells_of_a_server_that_became_read_only(server: PostgresServer, database: ServiceDatabase) -> None:
    with program("worker", database.service_url) as running:
        running.wait_for("readiness", lambda: running.unready() is None, 60)
        server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        server.execute("SELECT pg_reload_conf()")
        try:
            running.wait_for("the reason", lambda: "read-only" in (running.unready() or ""))
        finally:
            server.execute("ALTER SYSTEM RESET default_transaction_read_only")
            server.execute("SELECT pg_reload_conf()")
        running.wait_for("readiness", lambda: running.unready() is None)


@pytest.mark.slow
def test_a_session_that_was_lost_while_nobody_asked_makes_no_program_unready(
    server: PostgresServer, database: ServiceDatabase
) -> None:
    with program("web", database.service_url) as running:
        running.wait_for("readiness", lambda: running.unready() is None, 60)
        ended = server.execute(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database.name}'"
        )
        assert ended
        asked = time.monotonic()
        wait_until(lambda: time.monotonic() - asked > CACHE_SECONDS, deadline_seconds=5, what="a question of its own")
        assert running.unready() is None


def test_who_hangs_up_leaves_no_traceback_and_who_says_nothing_holds_no_thread(database: ServiceDatabase) -> None:
    with program("worker", database.service_url) as running:
        reached(running)
        process = psutil.Process(running.process.pid)
        before = process.num_threads()
        for _ in range(20):
            with socket.create_connection((running.host, running.port)) as hanging_up:
                hanging_up.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # by a reset
                hanging_up.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        strangers = [socket.create_connection((running.host, running.port)) for _ in range(20)]
        for stranger in strangers:
            stranger.sendall(b"G")
        wait_until(lambda: process.num_threads() > before, deadline_seconds=5, what="their threads")
        wait_until(lambda: process.num_threads() <= before, deadline_seconds=20, what="the end of their threads")
        for stranger in strangers:
            stranger.close()
        assert running.ask("/livez")[0] == 200
        assert "Exception" not in running.log


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, "relay"])
def test_every_program_answers_on_ipv6(kind: str, database: ServiceDatabase) -> None:
    url = database.relay_url if kind == "relay" else database.service_url
    wake_up = {"WAYBILL_RELAY_WAKE_UP": "[::1]:0", "WAYBILL_WORKER_WAKE_UP": "[::1]:0"}
    with program(kind, url, WAYBILL_HOST="::1", **wake_up) as running:
        reached(running)
        assert not running.events("wake_up_unavailable")


@pytest.mark.slow
def test_wake_up_signals_reach_running_programs_over_ipv6(database: ServiceDatabase) -> None:
    """The worker looks once a minute, so that what it does within seconds it does for a wake-up signal."""
    port = free_port()
    told = {"WAYBILL_HOST": "::1", "WAYBILL_WORKER_WAKE_UP": f"[::1]:{port}", "WAYBILL_ORDER_DEADLINE": "PT0S"}
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as relay,
        psycopg.connect(database.superuser_url, autocommit=True) as session,
    ):
        relay.bind(("::1", 0))
        relay.settimeout(10)
        relay_wake_up = f"[::1]:{relay.getsockname()[1]}"
        session.execute("INSERT INTO prices (sku, unit_price, currency) VALUES ('LAMP', 100, 'EUR')")
        with (
            program("worker", database.service_url, **told, WAYBILL_WORKER_POLL_SECONDS="60") as worker,
            program("web", database.service_url, **told, WAYBILL_RELAY_WAKE_UP=relay_wake_up) as web,
        ):
            for one in (worker, web):
                one.wait_for("readiness", lambda one=one: one.unready() is None, 60)
            assert web.order()[0] == 202
            assert relay.recv(1) == b""
            assert web.order()[0] == 202  # its wake-up signal, at the latest, finds the first one due
            expired = "SELECT count(*) < 2 FROM waybill_due_task WHERE task = 'expire_order'"
            worker.wait_for("an order that expired", lambda: session.execute(expired).fetchone() == (True,), 20)
