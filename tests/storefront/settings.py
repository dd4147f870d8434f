"""The shop's tests in one database, on services, and with some apps there and some here, as on the way out."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.storefront import services
from tests.storefront.shop import Outcome, Shop, alone, copied, with_services
from tests.support import environments
from tests.support.postgres import postgres_server

HALF = {"orders_reviews": ("orders", "reviews")}
STEPS = {"catalogue": ("catalogue",), "reviews": ("reviews",), "all_but_catalogue": ("customers", "orders", "reviews")}
"""Sets of apps whose models live on services, by the name of the run with them."""


@contextmanager
def storefront(folder: Path) -> Iterator[tuple[Shop, Shop]]:
    """Yield one copy of the shop in two environments: one without Waybill, and one with it for the services."""
    with ThreadPoolExecutor(1) as aside, postgres_server() as server:
        without = aside.submit(alone, folder / "alone")
        beside = _beside(folder)
        copy = copied(folder)
        yield Shop(copy, without.result(), server), Shop(copy, beside, server)


@contextmanager
def storefront_on_services(folder: Path) -> Iterator[Shop]:
    """Yield a copy of the shop in the one environment with Waybill."""
    with postgres_server() as server:
        yield Shop(copied(folder), _beside(folder), server)


def outcomes(shops: tuple[Shop, Shop], some: Mapping[str, Sequence[str]], *, go: bool) -> dict[str, Outcome]:
    """Run the tests in one database, on services, and with only some apps on services; return how each run ended."""
    without, beside = shops
    with ThreadPoolExecutor(2) as together:
        runs: dict[str, Future[Outcome]] = {
            "services": together.submit(_on_services, beside, "services", services.NAMES, go=go),
            "monolith": together.submit(without.test, "monolith", "monolith", {}),
            **{name: together.submit(_on_services, beside, name, apps, go=go) for name, apps in some.items()},
        }
        return {name: run.result() for name, run in runs.items()}


def _beside(folder: Path) -> environments.Environment:
    return with_services(folder / "with_services", environments.build_wheel(folder / "wheel"))


def _on_services(shop: Shop, name: str, apps: Sequence[str], *, go: bool) -> Outcome:
    with services.running(shop, apps, name, go=go) as variables:
        return shop.test("services", name, variables | {"SHOP_ON_SERVICES": ",".join(apps)})
