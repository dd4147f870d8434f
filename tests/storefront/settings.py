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
        wheel = environments.build_wheel(folder / "wheel")
        beside = with_services(folder / "with_services", wheel)
        copy = copied(folder)
        yield Shop(copy, without.result(), server), Shop(copy, beside, server)


def outcomes(folder: Path) -> dict[str, Outcome]:
    """Run the tests with every settings, two at a time, and return how each run ended."""
    with storefront(folder) as (without, beside), ThreadPoolExecutor(2) as together:
        runs: dict[str, Future[Outcome]] = {
            "services": together.submit(_on_services, beside, "services"),
            "monolith": together.submit(without.test, "monolith", {}),
            "mixed": together.submit(_on_services, beside, "mixed"),
        }
        return {settings: run.result() for settings, run in runs.items()}


def _on_services(shop: Shop, settings: str) -> Outcome:
    with services.running(shop, ON_SERVICES[settings], settings) as variables:
        return shop.test(settings, variables)
