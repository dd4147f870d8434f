"""The shop's tests with each of its settings: in one database, on services, and half and half."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.storefront import services
from tests.storefront.shop import Outcome, Shop, alone, copied, with_services
from tests.support import environments
from tests.support.postgres import postgres_server

ON_SERVICES = {"services": services.NAMES, "mixed": ("catalogue",)}


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


def outcomes(shops: tuple[Shop, Shop], *, go: bool) -> dict[str, Outcome]:
    """Run the tests with every settings, two at a time, and return how each run ended."""
    without, beside = shops
    with ThreadPoolExecutor(2) as together:
        runs: dict[str, Future[Outcome]] = {
            "services": together.submit(_on_services, beside, "services", go=go),
            "monolith": together.submit(without.test, "monolith", {}),
            "mixed": together.submit(_on_services, beside, "mixed", go=go),
        }
        return {settings: run.result() for settings, run in runs.items()}


def _beside(folder: Path) -> environments.Environment:
    return with_services(folder / "with_services", environments.build_wheel(folder / "wheel"))


def _on_services(shop: Shop, settings: str, *, go: bool) -> Outcome:
    with services.running(shop, ON_SERVICES[settings], settings, go=go) as variables:
        return shop.test(settings, variables)
