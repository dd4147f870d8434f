"""The services of examples/monolith as processes, each with a database of its own."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from tests.storefront.shop import Shop, database
from tests.support.environments import surroundings
from tests.support.providers.process import answering, free_port

NAMES = ("catalogue", "customers", "orders", "reviews")
TOKEN = "of a test"


@contextmanager
def running(shop: Shop, names: Sequence[str], purpose: str) -> Iterator[dict[str, str]]:
    """Start services on new databases, and yield the variables by which the shop's tests find them."""
    with ExitStack() as stack, ThreadPoolExecutor(len(names)) as together:
        urls = list(together.map(lambda name: stack.enter_context(_service(shop, name, f"{purpose}_{name}")), names))
        addresses = {f"{name.upper()}_URL": f"{url}/v1" for name, url in zip(names, urls, strict=True)}
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
        yield url
