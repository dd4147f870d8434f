"""The services of examples/monolith as processes, each with a database of its own; reviews may be kept by Go.

Where reviews are in Go, examples/reviews-go keeps them, with roles and rights as its README has them.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from devstack.harness.databases import Server
from tests.storefront.shop import Shop, database
from tests.support import reviews
from tests.support.environments import surroundings
from tests.support.providers.process import answering, free_port

NAMES = ("catalogue", "customers", "orders", "reviews")
TOKEN = reviews.TOKEN


def why_not_go() -> str | None:
    """Build the service in Go, and return None; or why that cannot be done."""
    try:
        reviews.built()
    except pytest.skip.Exception as missing:
        return str(missing)
    return None


@contextmanager
def running(shop: Shop, names: Sequence[str], purpose: str, *, go: bool = False) -> Iterator[dict[str, str]]:
    """Start services on new databases, and yield the variables by which the shop's tests find them."""

    def started(name: str) -> str:
        one = _reviews_in_go(shop, purpose) if go and name == "reviews" else _service(shop, name, f"{purpose}_{name}")
        return stack.enter_context(one)

    with ExitStack() as stack, ThreadPoolExecutor(len(names)) as together:
        addresses = {f"{name.upper()}_URL": url for name, url in zip(names, together.map(started, names), strict=True)}
        yield {"SHOP_TOKEN": TOKEN, "SERVICES_ARE_FOR_TESTS": "1", **addresses}


@contextmanager
def _service(shop: Shop, name: str, own_database: str) -> Iterator[str]:
    shop.server.execute(f"CREATE DATABASE {own_database}")
    folder, port, log = shop.folder / "services", free_port(), shop.folder.with_name(f"{own_database}.log")
    settings = {"DJANGO_SETTINGS_MODULE": f"{name}.settings", "SHOP_TOKEN": TOKEN}
    variables = settings | database(shop.server, "of the shop") | {"SERVICE_DB_NAME": own_database}
    shop.environment.run("-W", "error", "manage.py", "migrate", "--verbosity=0", cwd=folder, **variables)
    serve = ("-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--log-level", "warning")
    with answering(shop.environment.command(*serve), port, log, surroundings(**variables), folder) as url:
        yield f"{url}/v1"


@contextmanager
def _reviews_in_go(shop: Shop, purpose: str) -> Iterator[str]:
    folder = shop.folder.with_name(f"{purpose}_reviews_in_go")
    folder.mkdir()
    with reviews.running(Server(shop.server.superuser_url), folder) as service:
        yield service.url
