"""A real pgbouncer in transaction mode before the server: what may stand behind it works, all else refuses it."""

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest

from devstack.harness.databases import ROLES
from devstack.harness.stack import CHECKOUT
from devstack.harness.wait import wait_until
from tests.support.migrating import migrate
from tests.support.outbox_command import outbox, settings
from tests.support.own_shop import Shop
from tests.support.postgres import PostgresServer, as_user, server_folder
from tests.support.programs import Program
from tests.support.providers.process import free_port
from waybill.database.pooler import SETTING
from waybill.database.postgres_client import RELIED_ON, connect
from waybill.database.sqlstate import ErrorClass, classify, one_line

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
ORDERS, AT_ONCE = 60, 12
SERVER_SESSIONS = 3  # fewer than the programs have: each transaction meets another one
LOOPS = ("web", "consumer", "worker", "relay")
OVERDUE = "SELECT count(*) FROM waybill_due_task WHERE task = 'expire_order'"
REFUSED = "a connection pooler stands before the server"

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed (Debian: pgbouncer)")


@contextmanager
def pgbouncer(server: PostgresServer, *more: str) -> Generator[int]:
    """Run one in transaction mode before the server, and give its port."""
    port = free_port()
    with server_folder() as folder:
        users, config = folder / "users", folder / "pgbouncer.ini"
        users.write_text("".join(f'"test_{role}" ""\n' for role in ROLES))
        lines = [
            "[databases]",
            f"* = host=127.0.0.1 port={server.port}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {port}",
            "unix_socket_dir =",
            "auth_type = trust",
            f"auth_file = {users}",
            "pool_mode = transaction",
            f"default_pool_size = {SERVER_SESSIONS}",
            *more,
        ]
        config.write_text("\n".join(lines))
        with (folder / "log").open("wb") as log:
            running = subprocess.Popen([PGBOUNCER or "", config], cwd="/", stdout=log, stderr=log, **as_user())
        try:
            wait_until(lambda: _takes(port), deadline_seconds=10, what="pgbouncer")
            yield port
        finally:
            running.terminate()
            running.wait(10)


def _takes(port: int) -> bool:
    try:
        psycopg.connect(f"postgresql://test_service@127.0.0.1:{port}/postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def set_by_role(shop: Shop) -> Iterator[Shop]:
    """The settings of the service's role, as docs/settings.md has them."""
    for statement in documented():
        shop.execute(statement.replace("order_service", "test_service"))
    yield shop
    shop.execute("ALTER ROLE test_service RESET ALL")


def documented() -> list[str]:
    section = (CHECKOUT / "docs" / "settings.md").read_text().partition("## Connection poolers")[2]
    block = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)[0]
    return [statement.strip() for statement in block.split(";") if statement.strip()]


def through(port: int, shop: Shop, url: str) -> str:
    return url.replace(f":{urlsplit(shop.database.superuser_url).port}/", f":{port}/")


def placed(web: Program) -> Counter[int]:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return Counter(status for status, _ in threads.map(lambda _: web.order(), range(ORDERS)))


@pytest.mark.slow
def test_web_consumer_and_worker_work_behind_a_pooler_and_the_relay_beside_it(
    set_by_role: Shop, server: PostgresServer
) -> None:
    shop = set_by_role
    with pgbouncer(server) as port:
        url, pooled = through(port, shop, shop.database.service_url), {SETTING: "true"}
        with (
            shop.run("web", url, **pooled, WAYBILL_ORDER_DEADLINE="PT1S") as web,
            shop.run("consumer", url, **pooled) as consumer,
            shop.run("worker", url, **pooled, WAYBILL_ORDER_DEADLINE="PT1S") as worker,
            shop.run("relay") as relay,
        ):
            for one in (web, consumer, worker, relay):
                one.wait_for("readiness", lambda one=one: one.unready() is None, 60)
            shop.list_product("LAMP")
            consumer.wait_for("the price", lambda: shop.priced("LAMP"), 60)
            assert placed(web) == {202: ORDERS}
            relay.wait_for("publication", lambda: not shop.unpublished())
            worker.wait_for("what is due", lambda: shop.execute(OVERDUE) == [(0,)])
            assert not [event for one in (web, consumer, worker) for event in one.events("waiting")]
        assert shop.dead_letters() == []


@pytest.mark.slow
@pytest.mark.parametrize("ignored", [(), ("ignore_startup_parameters = options",)], ids=["refused", "ignored"])
def test_a_program_that_was_not_told_of_the_pooler_or_needs_a_session_refuses_it(
    shop: Shop, server: PostgresServer, ignored: tuple[str, ...]
) -> None:
    with pgbouncer(server, *ignored) as port, ExitStack() as until_refused:
        own = dict.fromkeys(LOOPS, shop.database.service_url) | {"relay": shop.database.relay_url}
        running = [until_refused.enter_context(shop.run(kind, through(port, shop, own[kind]))) for kind in LOOPS]
        for one in running:
            one.wait_for("the reason", lambda one=one: REFUSED in (one.unready() or ""), 60)
            assert one.kind != "web" or one.order()[0] == 503
        url = through(port, shop, shop.database.relay_url)
        done = outbox("list", **settings(order=url))
        assert (done.code, REFUSED in done.err) == (4, True), done.err
        migrated = migrate(shop.database, through(port, shop, shop.database.owner_url))
        assert (migrated.returncode, REFUSED in migrated.stderr) == (4, True), migrated.stderr


def test_settings_that_the_role_lacks_are_named(shop: Shop, server: PostgresServer) -> None:
    with pgbouncer(server) as port:
        url = through(port, shop, shop.database.service_url)
        with shop.run("web", url, **{SETTING: "true"}) as web:
            web.wait_for("the reason", lambda: "lock_timeout is '0', not '30s'" in (web.unready() or ""), 60)
            assert web.order()[0] == 503


def test_the_documented_settings_are_all_that_sessions_rely_on(set_by_role: Shop) -> None:
    assert len(documented()) == len(RELIED_ON)


def test_a_server_without_a_setting_that_sessions_rely_on_is_called_too_old(server: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError) as refused:
        connect(server.superuser_url, "test", {"not_in_this_release": "0"})
    assert classify(refused.value) is ErrorClass.ENVIRONMENT
    assert "PostgreSQL 14 or newer is needed" in one_line(refused.value)
