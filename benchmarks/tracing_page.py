"""`python -m benchmarks.tracing_page`: what docs/benchmarks.md says of traces, made from results/tracing.json alone."""

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psutil

from devstack.harness.stack import CHECKOUT

RESULTS: Final = Path(__file__).parent / "results" / "tracing.json"
PAGE: Final = CHECKOUT / "docs" / "benchmarks.md"
BEGIN: Final = "<!-- made by python -m benchmarks.tracing_page: begin -->\n"
END: Final = "<!-- made by python -m benchmarks.tracing_page: end -->\n"
LAST_LINE: Final = ("cpu_percent", "p50_percent", "cpu_ms_without", "cpu_ms_traced")
GOAL_PERCENT: Final = 10
NOT_OURS: Final = frozenset({"load"})


def kept(turn: Any) -> dict[str, Any]:
    """Return what is kept of a turn; CPU is that of all programs but the client."""
    by_program = {name: ms for name, ms in turn.cpu_ms.items() if name not in NOT_OURS}
    return {
        "who": turn.who,
        "pair": turn.repeat,
        "orders_per_s": round(turn.rate, 1),
        "cpu_ms": round(sum(by_program.values()), 3),
        "p50_ms": round(turn.p50_ms, 1),
        "p99_ms": round(turn.p99_ms, 1),
        "by_program": by_program,
    }


def line(turn: Mapping[str, Any]) -> str:
    """Return one turn for the screen."""
    return (
        f"{turn['pair']} {turn['who']:8} {turn['orders_per_s']:7.1f}/s  CPU {turn['cpu_ms']:6.2f} ms  "
        f"p50 {turn['p50_ms']:6.1f} ms  p99 {turn['p99_ms']:6.1f} ms"
    )


def conditions(load_before: float, pairs: int) -> dict[str, Any]:
    """Return what the figures hold for."""
    gigabytes = round(psutil.virtual_memory().total / 1e9)
    return {
        "machine": f"{os.cpu_count()} cores, {gigabytes} GB, {platform.platform()}",
        "load_before": round(load_before, 1),
        "pairs": pairs,
    }


def table(found: Mapping[str, Any]) -> str:
    """Return the table, and what it was measured on."""
    rows = [
        "| Pair | CPU an order, without | CPU an order, traced | p50 without | p50 traced |",
        "|---|---|---|---|---|",
    ]
    for pair in range(found["conditions"]["pairs"]):
        without, traced = (
            next(one for one in found["turns"] if (one["pair"], one["who"]) == (pair, who))
            for who in ("without", "traced")
        )
        rows.append(
            f"| {pair + 1} | {without['cpu_ms']:.2f} ms | {traced['cpu_ms']:.2f} ms | {without['p50_ms']:.0f} ms | "
            f"{traced['p50_ms']:.0f} ms |"
        )
    told = found["conditions"]
    said = (
        f"**CPU: {found['cpu_percent']:+.1f} %** (goal ≤ {GOAL_PERCENT} %), median time of an order "
        f"{found['p50_percent']:+.1f} %: the medians over {told['pairs']} pairs."
    )
    return "\n".join(
        [
            said,
            "",
            *rows,
            "",
            f"On {told['machine']}; load average before: {told['load_before']}.",
            "",
        ]
    )


def page(found: Mapping[str, Any], text: str) -> str:
    """Return the page with the table in its place."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table(found)}{END}{after}"


def keep(found: Mapping[str, Any]) -> None:
    """Keep figures, and write the page."""
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    PAGE.write_text(page(found, PAGE.read_text()))


if __name__ == "__main__":
    keep(json.loads(RESULTS.read_text()))
