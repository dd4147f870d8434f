"""The console in this process, on real databases: a server of the session's own, which is there in two seconds."""

from collections.abc import Callable, Iterator, Mapping

import pytest
from django.test import Client, override_settings

from console_service.web import databases
from console_service.web.access import SCOPES, SUBJECT, Role
from console_service.web.project import project
from devstack.harness.databases import Server, ServiceDatabase
from tests.support.console import shows
from tests.support.databases import in_use
from tests.support.kept_databases import KeptDatabases, kept_databases
from tests.support.postgres import PostgresServer, postgres_server
from waybill.runtime.settings import _read

SignIn = Callable[..., Client]


@pytest.fixture(scope="session")
def console_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that the tests of a module may stop; they start it again."""
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="session")
def console_databases(console_server: PostgresServer) -> Server:
    """The databases on it."""
    return Server(console_server.superuser_url)


@pytest.fixture(scope="module")
def kept(console_databases: Server) -> Iterator[KeptDatabases]:
    """The databases of the module's tests: to make three for each test takes longer than most tests."""
    with kept_databases(console_databases) as databases:
        yield databases


@pytest.fixture
def console_database(kept: KeptDatabases) -> Iterator[ServiceDatabase]:
    """An empty read model, as this process's Django database."""
    with kept.fresh("console_service") as database, in_use(database.service_url):
        yield database


@pytest.fixture
def pages() -> Iterator[None]:
    """Django's settings of the web program."""
    own = project(hosts=("testserver",), secret_key="of tests", hours=8, secure=True)
    del own["INSTALLED_APPS"]  # they are configured for every service
    with override_settings(ALLOWED_HOSTS=["testserver"], **own):
        yield


@pytest.fixture
def sign_in(console_database: ServiceDatabase, pages: None) -> SignIn:
    """Return what gives a client that is signed in with these roles, by TLS; it heeds CSRF where asked to."""

    def signed_in(*roles: Role, subject: str = "ann", enforce_csrf_checks: bool = False) -> Client:
        client = Client(enforce_csrf_checks=enforce_csrf_checks, headers={"Origin": "https://testserver"})
        client.defaults["wsgi.url_scheme"] = "https"
        session = client.session
        session[SUBJECT], session[SCOPES] = subject, sorted(roles)
        session.save()
        return client

    return signed_in


@pytest.fixture
def console(sign_in: SignIn) -> Client:
    """A client with every role."""
    return sign_in(*Role)


@pytest.fixture
def services(kept: KeptDatabases, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[str, ServiceDatabase]]:
    """The databases of the order and the payment service, which the console shows."""
    with kept.fresh("order_service") as order, kept.fresh("payment_service") as payment:
        found = {"order": order, "payment": payment}
        shows(monkeypatch, {name: one.service_url for name, one in found.items()})
        yield found
        databases.close()
        _read.cache_clear()
