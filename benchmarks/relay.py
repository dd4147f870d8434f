"""The relay against its peers: `python -m benchmarks.relay`; what is measured, and how, stands in docs/benchmarks.md.

Prints every run, then a table; the last line is one JSON object with the ratios. A whole run keeps its figures in
results/relay.json and brings docs/benchmarks.md up to date; a --quick one, or one of some phases only, keeps nothing.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks import page
from benchmarks.cases import (
    DISTURBANCES,
    LATENCY_RATE,
    ORDER_ROWS_A_TRANSACTION,
    ROWS_A_TRANSACTION,
    Contest,
    Figures,
    Plan,
    catching_up,
    disturbed,
    flatness,
    transactions,
)
from benchmarks.peers import settings
from benchmarks.ratios import ratios
from benchmarks.stage import SERVER_SETTINGS, Stage, running, versions
from devstack.harness.interrupts import end_tidily

RESULTS: Final = Path(__file__).parent / "results" / "relay.json"
OUTAGE_SECONDS: Final = 900


def contest(*parts: Callable[[Contest], None]) -> Callable[[Stage, Plan, Figures], None]:
    """Return a phase that starts and warms up everybody, and measures these parts."""

    def phase(stage: Stage, plan: Plan, figures: Figures) -> None:
        with ExitStack() as stack:
            everybody = Contest(stage, plan, figures, stack)
            for part in parts:
                part(everybody)

    return phase


PHASES: Final[dict[str, Callable[[Stage, Plan, Figures], None]]] = {
    "peers": contest(Contest.throughput, Contest.latency, Contest.idle),
    "disturbed": disturbed,
    "flatness": flatness,
    "outage": catching_up,
    "transactions": transactions,
}


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000, help="of the first size; the second is five times that")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one size, seconds in place of minutes, figures not kept")
    parser.add_argument("--only", default=",".join(PHASES), help="phases, comma-separated (default: %(default)s)")
    return parser.parse_args()


def plan_of(given: argparse.Namespace) -> Plan:
    """Return how much is measured."""
    if given.quick:
        return Plan(
            sizes=[given.events],
            repeats=given.repeats,
            pairs=given.repeats,
            warm_up=given.events,
            published_rows=min(2_000, given.events),
            latency_events=LATENCY_RATE * 3,
            idle_seconds=3,
            logs=[1_000, 100_000],
            outage_events=given.events,
        )
    return Plan(
        sizes=[given.events, given.events * 5],
        repeats=given.repeats,
        pairs=given.repeats * 2 - 1,
        warm_up=200_000,
        published_rows=20_000,
        latency_events=LATENCY_RATE * 30,
        idle_seconds=30,
        logs=[10_000, 10_000_000],
        outage_events=LATENCY_RATE * OUTAGE_SECONDS,
    )


def surroundings(stage: Stage, plan: Plan) -> dict[str, Any]:
    """Return what the figures depend on."""
    with Path("/proc/meminfo").open() as file:
        memory_kb = int(file.readline().split()[1])
    return {
        "machine": {
            "cores": os.cpu_count(),
            "memory_gb": round(memory_kb / 1e6, 1),
            "system": platform.platform(terse=True),
            "load_average_before": round(os.getloadavg()[0], 1),
        },
        "versions": versions(stage) | settings.versions(),
        "settings": {
            **asdict(plan),
            "disturbances": list(DISTURBANCES),
            "rows_a_transaction": ROWS_A_TRANSACTION,
            "rows_a_transaction_disturbed_and_outage": ORDER_ROWS_A_TRANSACTION,
            "latency_events_per_second": LATENCY_RATE,
            "postgresql": SERVER_SETTINGS,
            **settings.of_peers(),
        },
    }


def main() -> None:
    """Measure, print, and keep."""
    given = arguments()
    plan = plan_of(given)
    chosen = [name for name in given.only.split(",") if name]
    if unknown := set(chosen) - set(PHASES):
        raise SystemExit(f"no phase is called {min(unknown)!r}; choose from {', '.join(PHASES)}")
    end_tidily()
    figures = Figures()
    with running() as stage:
        about = surroundings(stage, plan)
        for name in chosen:
            PHASES[name](stage, plan, figures)
    result = {**about, **asdict(figures)}
    result["ratios"] = ratios(result)
    print("\n" + page.tables(result))
    if not given.quick and chosen == list(PHASES):
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
        page.write(result)
    print(json.dumps(result["ratios"]))


if __name__ == "__main__":
    main()
