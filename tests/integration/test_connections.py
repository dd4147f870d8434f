"""A database URL means the same to every program: to web, consumer, worker, relay and the command."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

import pytest

from devstack.harness.databases import Server, ServiceDatabase
from devstack.harness.stack import CHECKOUT
from tests.support.outbox_command import Ended, outbox, settings
from tests.support.postgres import PostgresServer
from tests.support.programs import Program, program
from tests.support.providers.process import free_port
from waybill.database.postgres_client import EXAMPLE

LOOPS = ("web", "consumer", "worker", "relay")
SESSIONS = "SELECT application_name FROM pg_stat_activity WHERE datname = '{}'"


@pytest.fixture(scope="module")
def database(own_databases: Server) -> Iterator[ServiceDatabase]:
    with own_databases.fresh("order_service") as fresh:
        yield fresh


def url_of(database: ServiceDatabase, kind: str, *, host: str | None = None, query: str = "") -> str:
    """The URL of a program's role; `host` is the part between @ and /."""
    given = database.relay_url if kind == "relay" else database.service_url
    parts = urlsplit(given)
    address = f"{parts.hostname}:{parts.port}" if host is None else host
    return f"postgresql://{parts.username}:{parts.password}@{address}/{database.name}{query}"


def opened(server: PostgresServer, database: ServiceDatabase, running: Program, name: str) -> bool:
    """Whether the program has a session of that name; asked for readiness, each opens one."""
    running.unready()
    return any(found.startswith(name) for (found,) in server.execute(SESSIONS.format(database.name)))


@contextmanager
def all_programs(
    database: ServiceDatabase, *, host: str | None = None, query: str = ""
) -> Iterator[dict[str, Program]]:
    with (
        program("web", url_of(database, "web", host=host, query=query)) as web,
        program("consumer", url_of(database, "consumer", host=host, query=query)) as consumer,
        program("worker", url_of(database, "worker", host=host, query=query)) as worker,
        program("relay", url_of(database, "relay", host=host, query=query)) as relay,
    ):
        yield {one.kind: one for one in (web, consumer, worker, relay)}


def listed(database: ServiceDatabase, *, host: str | None = None, query: str = "") -> Ended:
    return outbox("list", **settings(order=url_of(database, "command", host=host, query=query)))


@pytest.mark.slow
def test_ssl_that_is_required_and_not_there_lets_no_program_in(database: ServiceDatabase) -> None:
    with all_programs(database, query="?sslmode=require") as running:
        for one in running.values():
            one.wait_for("the reason", lambda one=one: "server does not support SSL" in (one.unready() or ""))
    done = listed(database, query="?sslmode=require")
    assert (done.code, "server does not support SSL" in done.err) == (4, True)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["several hosts, the first dead", "a socket", "IPv6"])
def test_every_program_finds_its_server_as_libpq_does(
    database: ServiceDatabase, server: PostgresServer, way: str
) -> None:
    host, query = {
        "several hosts, the first dead": (f"127.0.0.1:{free_port()},127.0.0.1:{server.port}", ""),
        "a socket": ("", f"?host={quote(str(server.sockets), safe='')}&port={server.port}"),
        "IPv6": (f"[::1]:{server.port}", ""),
    }[way]
    with all_programs(database, host=host, query=query) as running:
        for kind, one in running.items():
            name = "outbox_relay" if kind == "relay" else f"order_service.{kind}"
            one.wait_for("a session", lambda one=one, name=name: opened(server, database, one, name))
    assert listed(database, host=host, query=query).code == 0


@pytest.mark.slow
def test_every_program_shows_the_application_name_of_its_url(database: ServiceDatabase, server: PostgresServer) -> None:
    for kind in LOOPS:
        name = f"chosen-{kind}"
        with program(kind, url_of(database, kind, query=f"?application_name={name}")) as running:
            running.wait_for(name, lambda running=running, name=name: opened(server, database, running, name))


def test_a_malformed_url_is_one_line_that_names_the_variable_for_every_program() -> None:
    url = "postgresql://u:secret@h/d?sslmod=require"
    for kind in LOOPS:
        command = ["outbox_relay"] if kind == "relay" else ["waybill", "order_service", kind]
        environment = {**os.environ, "WAYBILL_SERVICE": "order_service", "WAYBILL_DATABASE_URL": url}
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=CHECKOUT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        (said,) = map(json.loads, (done.stdout + done.stderr).splitlines())
        assert (done.returncode, said["reason"].partition("; ")[2]) == (
            1,
            f'WAYBILL_DATABASE_URL: invalid URI query parameter: "sslmod"; a URL is {EXAMPLE}',
        )
    done = outbox("list", **settings(order=url))
    assert done.code == 2
    assert done.err.startswith('outbox: WAYBILL_OUTBOX_DATABASES: order: invalid URI query parameter: "sslmod"')
