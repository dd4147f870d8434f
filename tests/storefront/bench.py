"""`make bench-storefront`: the webshop's ten main pages in one database and on services, side by side.

One shop whose models live in PostgreSQL, and the same one whose models live on four services, each with a PostgreSQL
database; the same goods, customers and orders in both. A page is asked for in the one and in the other, in turns, in
processes that do nothing else. Figures go to results/storefront.json; a --quick run keeps nothing. The last line is one
JSON object.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from devstack.folder import CHECKOUT
from devstack.harness.interrupts import end_tidily
from tests.storefront import services
from tests.storefront.settings import storefront
from tests.storefront.shop import Shop, database
from tests.support.environments import surroundings

RESULTS: Final = CHECKOUT / "benchmarks" / "results" / "storefront.json"
PAGES: Final = Path(__file__).with_name("bench_pages.py")
GOALS: Final = {"most_calls": 3, "median_ratio": 2.5}
WARM_UP: Final = 5


class Pages:
    """One shop that answers for its pages."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        assert running.stdin is not None
        assert running.stdout is not None
        self._in, self._out = running.stdin, running.stdout
        self.calls: dict[str, int] = json.loads(self._out.readline())

    def ask(self, page: str) -> float:
        """Return the milliseconds that one request took."""
        print(page, file=self._in, flush=True)
        return float(self._out.readline())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(prog="python -m tests.storefront.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of a minute; keeps nothing")
    quick = parser.parse_args(arguments).quick
    end_tidily()
    with _shops() as (monolith, on_services):
        pages = {page: measured(monolith, on_services, page, 10 if quick else 100) for page in monolith.calls}
    found = figures(pages)
    if not quick:
        kept = {"figures": found, "load_average": os.getloadavg()[0], "pages": pages}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    print(table(pages))
    print(json.dumps(found))


def measured(monolith: Pages, on_services: Pages, page: str, times: int) -> dict[str, float]:
    """Ask both for the page, in turns; return medians in milliseconds, and calls."""
    took = [(monolith.ask(page), on_services.ask(page)) for _ in range(WARM_UP + times)][WARM_UP:]
    in_database, by_http = (statistics.median(one) for one in zip(*took, strict=True))
    return {
        "monolith_ms": round(in_database, 2),
        "services_ms": round(by_http, 2),
        "ratio": round(by_http / in_database, 2),
        "queries": monolith.calls[page],
        "calls": on_services.calls[page],
    }


def figures(pages: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return what the goals are about."""
    return {
        "pages": len(pages),
        "most_calls": max(page["calls"] for page in pages.values()),
        "median_ratio": round(statistics.median(page["ratio"] for page in pages.values()), 2),
        "largest_ratio": max(page["ratio"] for page in pages.values()),
    }


def table(pages: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of docs/benchmarks.md."""
    lines = ["| Page | PostgreSQL, ms | Services, ms | Ratio | Queries | Calls |", "|---|---|---|---|---|---|"]
    for name, page in pages.items():
        lines.append(f"| {name} | " + " | ".join(str(value) for value in page.values()) + " |")
    return "\n".join(lines)


@contextmanager
def _shops() -> Iterator[tuple[Pages, Pages]]:
    with tempfile.TemporaryDirectory(prefix="waybill-storefront-") as folder, ExitStack() as stack:
        _, shop = stack.enter_context(storefront(Path(folder)))
        variables = stack.enter_context(services.running(shop, services.NAMES, "bench"))
        yield (
            stack.enter_context(_shop(shop, "monolith", {})),
            stack.enter_context(_shop(shop, "services", variables)),
        )


@contextmanager
def _shop(shop: Shop, settings: str, variables: Mapping[str, str]) -> Iterator[Pages]:
    own = f"bench_{settings}"
    shop.server.execute(f"CREATE DATABASE {own}")
    told = {**variables, **database(shop.server, own), "DJANGO_SETTINGS_MODULE": f"shop.settings.{settings}"}
    with subprocess.Popen(
        shop.environment.command("-P", str(PAGES)),  # without its folder, which has a shop.py
        cwd=shop.folder,
        env={**surroundings(**told), "PYTHONPATH": str(shop.folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield Pages(running)
        finally:
            running.kill()


if __name__ == "__main__":
    sys.exit(main())
