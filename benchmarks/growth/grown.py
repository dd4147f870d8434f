"""The rates of orders where many are there already: `python -m benchmarks.saga --grown [--orders N]`.

Two whole stacks stand side by side and take turns with the same load, in a sequence that changes with each repeat: a
fresh one, and one whose databases were filled with the orders of the days before (copies.py). Who is not measured is
frozen. `flatness` is the lowest, over the numbers in flight, of the medians over the repeats of the grown stack's rate
over the fresh one's. At last both run some orders with every statement logged, and the statements whose plans differ
are named (plans.py). Figures go to results/grown.json and docs/benchmarks.md.
"""

import os
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks import saga_page
from benchmarks.growth import copies, plans
from benchmarks.growth.page import FRESH, GROWN, cost, rate
from benchmarks.saga import SERVICES, WARM_UP_ORDERS, Waybill, measure, turn_of, warm_up
from devstack.harness.stack import running

LEAST_KEPT: Final = 1_000_000  # orders: a run with fewer says little
ORIGINALS: Final = 1_000  # all others are copies of them; they fit into one span of the ids
LOGGED_ORDERS: Final = 40
Turns = Sequence[Mapping[str, Any]]


def run(orders: int, sagas: Mapping[int, int], repeats: int) -> dict[str, Any]:
    """Start both, fill the one, let them take turns, compare the plans, and return the figures."""
    with ExitStack() as block:
        fresh, grown = (_started(block, name, WARM_UP_ORDERS * sagas[50] // 800) for name in (FRESH, GROWN))
        with turn_of(grown):
            count = min(ORIGINALS, orders // 10)
            originals = copies.place_originals(grown.stack, lambda many: grown.run(many, 50), count)
        there = copies.grow(grown.stack, originals, orders)
        copies.analyse(fresh.stack)
        print(f"{there.orders:,} orders, {there.rows:,} rows, {there.gigabytes} GB in {there.seconds} s", flush=True)
        load_before = os.getloadavg()[0]
        turns = _turns([fresh, grown], sagas, repeats)
        changed = _changed(fresh, grown)
    return {
        **figures(turns),
        "there": asdict(there),
        "changed_plans": [asdict(one) for one in changed],
        "conditions": saga_page.conditions(load_before, repeats),
        "turns": turns,
    }


def _started(block: ExitStack, name: str, orders: int) -> Waybill:
    folder = block.enter_context(tempfile.TemporaryDirectory(prefix="waybill-bench-", ignore_cleanup_errors=True))
    stack = running(Path(folder, "stack"), only=SERVICES, WAYBILL_ORDER_DEADLINE=copies.ORDER_DEADLINE)
    one = Waybill(block.enter_context(stack))
    one.name = name
    block.callback(one.wake)
    warm_up(one, orders)
    one.hold()
    return one


def _turns(both: Sequence[Waybill], sagas: Mapping[int, int], repeats: int) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    for repeat in range(repeats):
        for in_flight, count in sagas.items():
            for one in both if repeat % 2 else reversed(both):
                with turn_of(one):
                    turns.append(asdict(measure(one, one.database, count, in_flight, repeat)))
                print(saga_page.line(turns[-1]), flush=True)
    return turns


def _changed(fresh: Waybill, grown: Waybill) -> list[plans.Changed]:
    found: list[dict[tuple[str, str], str]] = []
    for one in (fresh, grown):
        with turn_of(one):
            statements = plans.heard(one.stack, lambda one=one: one.run(LOGGED_ORDERS, 4))
        found.append(plans.shapes(one.stack, statements))
    return plans.changed(*found)


def figures(turns: Turns) -> dict[str, float]:
    """Return the medians over the repeats of what the grown stack does and costs beside the fresh one."""
    found: dict[str, float] = {}
    for n in sorted({turn["in_flight"] for turn in turns}):
        found[f"flatness_{n}"] = round(_median(turns, n, rate), 2)
        found[f"cpu_{n}"] = round(_median(turns, n, cost), 2)
    return {"flatness": min(value for name, value in found.items() if name.startswith("flatness_")), **found}


def _median(turns: Turns, in_flight: int, of: Callable[[Mapping[str, Any]], float]) -> float:
    pairs: dict[int, dict[str, float]] = {}
    for turn in turns:
        if turn["in_flight"] == in_flight:
            pairs.setdefault(turn["repeat"], {})[turn["who"]] = of(turn)
    return statistics.median(one[GROWN] / one[FRESH] for one in pairs.values())
