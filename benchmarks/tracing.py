"""What traces cost: `python -m benchmarks.tracing [--quick]`, CPU of an order with and without, side by side.

Two whole stacks take turns with the same load, one that sends spans of a tenth of the orders to a receiver that takes
them all, and one without an endpoint; who is not measured is frozen. Both begin with a warm-up, and each pair of turns
is followed by one in the other sequence, so that what the machine does beside falls on both. The figure is the median
over the pairs. Figures go to results/tracing.json and docs/benchmarks.md. The last line is one JSON object.
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

from benchmarks import tracing_page
from benchmarks.saga import Waybill, measure, turn_of
from devstack.harness.interrupts import end_tidily
from devstack.harness.stack import CHECKOUT, running
from devstack.harness.wait import wait_until
from devstack.ports import choose

IN_FLIGHT: Final = 200
RATIO: Final = 0.1
ORDERS: Final = 1_500  # in one turn
PAIRS: Final = 6
WARM_UP: Final = 1_500


@contextmanager
def receiver() -> Iterator[tuple[str, Path]]:
    """Run a receiver of OTLP as a process of its own; yields its URL, and the file with how many requests it took."""
    (port,) = choose(["receiver"], {}, {}).values()
    with tempfile.TemporaryDirectory(prefix="waybill-bench-") as folder:
        counted = Path(folder, "requests")
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.otlp_receiver", str(port), str(counted)], cwd=CHECKOUT
        )
        try:
            wait_until(counted.exists, deadline_seconds=30, what="the receiver answers")
            yield f"http://127.0.0.1:{port}", counted
        finally:
            process.terminate()
            process.wait(10)


def run(orders: int, pairs: int) -> dict[str, Any]:
    """Start both, let them take turns, and return the figures."""
    with ExitStack() as block:
        url, counted = block.enter_context(receiver())
        without, traced = ({}, {"WAYBILL_OTLP_ENDPOINT": url, "WAYBILL_TRACE_RATIO": str(RATIO)})
        both: list[Waybill] = []
        for name, environment in (("without", without), ("traced", traced)):
            folder = block.enter_context(
                tempfile.TemporaryDirectory(prefix="waybill-bench-", ignore_cleanup_errors=True)
            )
            one = Waybill(block.enter_context(running(Path(folder), **environment)))
            one.name = name
            block.callback(one.wake)
            one.run(WARM_UP * orders // ORDERS, 50)
            one.hold()
            both.append(one)
        load = os.getloadavg()[0]
        turns: list[dict[str, Any]] = []
        for pair in range(pairs):
            for one in both if pair % 2 else reversed(both):
                with turn_of(one):
                    turn = measure(one, one.database, orders, IN_FLIGHT, pair)
                turns.append(tracing_page.kept(turn))
                print(tracing_page.line(turns[-1]), flush=True)
        requests = int(counted.read_text())
    assert requests > 0, "no span came: nothing was measured"
    return {**figures(turns), "requests": requests, "conditions": tracing_page.conditions(load, pairs), "turns": turns}


def figures(turns: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the median over the pairs of what tracing adds."""
    pairs: dict[int, dict[str, Mapping[str, float]]] = {}
    for turn in turns:
        pairs.setdefault(turn["pair"], {})[turn["who"]] = turn
    return {
        "cpu_percent": round(100 * (_median(pairs, "cpu_ms") - 1), 1),
        "p50_percent": round(100 * (_median(pairs, "p50_ms") - 1), 1),
        "cpu_ms_without": round(statistics.median(one["without"]["cpu_ms"] for one in pairs.values()), 2),
        "cpu_ms_traced": round(statistics.median(one["traced"]["cpu_ms"] for one in pairs.values()), 2),
    }


def _median(pairs: Mapping[int, Mapping[str, Mapping[str, float]]], figure: str) -> float:
    return statistics.median(one["traced"][figure] / one["without"][figure] for one in pairs.values())


def main() -> None:
    """Run the benchmark, keep its figures and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="to see that all works; keeps nothing")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="turns of each")
    given = parser.parse_args()
    end_tidily()
    found = run(200, 1) if given.quick else run(ORDERS, given.pairs)
    if not given.quick:
        tracing_page.keep(found)
    print(json.dumps({name: found[name] for name in tracing_page.LAST_LINE}))


if __name__ == "__main__":
    main()
