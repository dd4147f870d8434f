"""`python -m benchmarks.saga_page`: what docs/benchmarks.md says of sagas, made from results/saga.json alone."""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from devstack.harness.stack import CHECKOUT

RESULTS: Final = Path(__file__).parent / "results" / "saga.json"
PAGE: Final = CHECKOUT / "docs" / "benchmarks.md"
BEGIN: Final = "<!-- made by python -m benchmarks.saga_page: begin -->\n"
END: Final = "<!-- made by python -m benchmarks.saga_page: end -->\n"
OURS: Final = "waybill"
TITLES: Final = {OURS: "this system", "temporal": "Temporal", "dbos": "DBOS"}
SAME_WORK: Final = tuple(f"vs_best_peer_same_work_{n}" for n in (1, 8, 50, 200))
BARE: Final = ("sagas_per_s", "vs_best_peer", "vs_temporal", "vs_dbos", "cpu_ms_per_order", "p50_ms", "p99_ms")
LAST_LINE: Final = (*SAME_WORK, "cpu_ms_per_order_8", *BARE)
GOALS: Final = {
    **dict.fromkeys(SAME_WORK, "≥ 2"),
    "vs_best_peer_same_work_1": "≥ 1",
    "cpu_ms_per_order_8": "≤ 15",
    "cpu_ms_per_order": "≤ 6",
    "p50_ms": "≤ 25",
    "p99_ms": "≤ 60",
}
MEANING: Final = {
    **{
        f"vs_best_peer_same_work_{n}": f"ours ÷ the better peer's orders/s at the same work, {n} in flight"
        for n in (1, 8, 50, 200)
    },
    "cpu_ms_per_order_8": "CPU of all our processes, the database and the load, an order, 8 in flight",
    "sagas_per_s": "our orders/s, POST to CONFIRMED, at the best number in flight",
    "vs_best_peer": "ours ÷ the better peer's best sagas/s",
    "vs_temporal": "ours ÷ Temporal's best sagas/s",
    "vs_dbos": "ours ÷ DBOS's best sagas/s",
    "cpu_ms_per_order": "CPU of all our processes, the database and the load, an order, at that rate",
    "p50_ms": "one order at a time, from before the POST until its OrderConfirmed was received from Kafka",
    "p99_ms": "the same",
}
Turns = Sequence[Mapping[str, Any]]


def line(turn: Mapping[str, Any]) -> str:
    """Return one measurement for the screen."""
    by_cost = sorted(turn["cpu_ms"].items(), key=lambda one: -one[1])
    cpu = ", ".join(f"{name} {ms:.2f}" for name, ms in by_cost if ms >= 0.1)
    rate = turn["sagas"] / turn["seconds"]
    return (
        f"{turn['who']:9}{turn['in_flight']:4} in flight {rate:7.1f}/s  p50 {turn['p50_ms']:7.1f} ms  "
        f"p99 {turn['p99_ms']:7.1f} ms  CPU {sum(turn['cpu_ms'].values()):6.2f} ms: {cpu}"
    )


def conditions(load_before: float, repeats: int) -> dict[str, Any]:
    """Return what the figures hold for."""
    gigabytes = round(psutil.virtual_memory().total / 1e9)
    return {
        "machine": f"{os.cpu_count()} cores, {gigabytes} GB, {platform.platform()}",
        "load_before": round(load_before, 1),
        "repeats": repeats,
        "versions": "temporal 1.1.2 (temporalio 1.35.0), dbos 3.4.0",
    }


def ratios(turns: Turns) -> dict[str, float | None]:
    """Return the figures of the last line; None for a peer that was not there."""
    best = {who: max(_rate(turns, who, n) for n in _in_flight(turns)) for who in _names(turns)}
    at_best = max(_in_flight(turns), key=lambda n: _rate(turns, OURS, n))
    peers = {who: rate for who, rate in best.items() if who != OURS}

    def against(rate: float | None) -> float | None:
        return round(best[OURS] / rate, 2) if rate else None

    return {
        "sagas_per_s": round(best[OURS], 1),
        "vs_best_peer": against(max(peers.values(), default=None)),
        "vs_temporal": against(peers.get("temporal")),
        "vs_dbos": against(peers.get("dbos")),
        "cpu_ms_per_order": round(_median(turns, OURS, at_best, lambda t: sum(t["cpu_ms"].values())), 2),
        "p50_ms": round(_median(turns, OURS, 1, lambda t: t["p50_ms"]), 1),
        "p99_ms": round(_median(turns, OURS, 1, lambda t: t["p99_ms"]), 1),
    }


def same_work_ratios(turns: Turns) -> dict[str, float | None]:
    """Return how our rate stands to that of the better peer, at each number in flight."""
    found: dict[str, float | None] = {}
    for n in _in_flight(turns):
        peers = [_rate(turns, who, n) for who in _names(turns) if who != OURS and _of(turns, who, n)]
        found[f"vs_best_peer_same_work_{n}"] = round(_rate(turns, OURS, n) / max(peers), 2) if peers else None
    if 8 in _in_flight(turns):
        found["cpu_ms_per_order_8"] = round(_median(turns, OURS, 8, lambda t: sum(t["cpu_ms"].values())), 2)
    return found


def tables(result: Mapping[str, Any]) -> str:
    """Return everything that was measured, as Markdown."""
    said = result["conditions"]
    same, turns = result.get("same_work"), result["turns"]
    head = f"{said['machine']}; load average before the run {said['load_before']}.\n{said['versions']}.\n"
    head += f"{said['repeats']} repeats; medians, and the range of the rates; warm-up not counted.\n"
    figures = _table(
        ("Figure", "Measured", "Goal", "What it is"),
        [(f"`{name}`", str(result[name]), GOALS.get(name, ""), MEANING[name]) for name in LAST_LINE if name in result],
    )
    return "\n".join(
        (
            *(head, figures),
            *(("The same work for all:\n", _sagas(same)) if same else ()),
            *("The peers' steps do nothing:\n", _sagas(turns), _by_process(turns)),
        )
    )


def _sagas(turns: Turns) -> str:
    rows: list[Sequence[str]] = []
    for n in _in_flight(turns):
        for who in _names(turns):
            rates = [t["sagas"] / t["seconds"] for t in _of(turns, who, n)]
            rows.append(
                (
                    *(str(n), TITLES[who], f"{statistics.median(rates):.1f} ({min(rates):.1f} to {max(rates):.1f})"),
                    f"{_median(turns, who, n, lambda t: t['p50_ms']):.1f}",
                    f"{_median(turns, who, n, lambda t: t['p99_ms']):.1f}",
                    f"{_median(turns, who, n, lambda t: sum(t['cpu_ms'].values())):.2f}",
                )
            )
    return _table(("In flight", "Who", "Sagas/s", "p50 ms", "p99 ms", "CPU ms a saga"), rows)


def _by_process(turns: Turns) -> str:
    numbers = _in_flight(turns)
    names = {name for t in turns if t["who"] == OURS for name in t["cpu_ms"]}
    cost = {name: [_median(turns, OURS, n, lambda t, name=name: t["cpu_ms"][name]) for n in numbers] for name in names}
    rows = [
        (name, *(f"{ms:.2f}" for ms in cost[name]))
        for name in sorted(names, key=lambda name: (-cost[name][-1], name))
        if max(cost[name]) >= 0.01
    ]
    return _table(("CPU ms an order, ours", *(f"{n} in flight" for n in numbers)), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _names(turns: Turns) -> list[str]:
    return [who for who in TITLES if any(t["who"] == who for t in turns)]


def _in_flight(turns: Turns) -> list[int]:
    return sorted({t["in_flight"] for t in turns})


def _of(turns: Turns, who: str, in_flight: int) -> Turns:
    return [t for t in turns if (t["who"], t["in_flight"]) == (who, in_flight)]


def _rate(turns: Turns, who: str, in_flight: int) -> float:
    return _median(turns, who, in_flight, lambda t: t["sagas"] / t["seconds"])


def _median(turns: Turns, who: str, in_flight: int, of: Any) -> float:
    return statistics.median(of(turn) for turn in _of(turns, who, in_flight))


def page(result: Mapping[str, Any], text: str) -> str:
    """Return the page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{tables(result)}{END}{after}"


def keep(result: Mapping[str, Any]) -> None:
    """Write the results and the page."""
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    PAGE.write_text(page(result, PAGE.read_text()))


def main() -> None:
    """Write the page from the results that are kept."""
    PAGE.write_text(page(json.loads(RESULTS.read_text()), PAGE.read_text()))


if __name__ == "__main__":
    main()
