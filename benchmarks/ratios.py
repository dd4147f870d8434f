"""From single runs to medians, ranges and the ratios that count. Bigger is better in each of them."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

Result = Mapping[str, Any]

# What each ratio is, for the page and for whoever reads the last line.
MEANING: Final = {
    "vs_debezium_throughput": "our events/s ÷ Debezium's, warm; the lower one of all sizes",
    "vs_debezium_cpu": "Debezium's CPU per event ÷ ours, each process alone, warm; the lower one of all sizes",
    "vs_debezium_memory": "Debezium's peak resident memory ÷ ours, over the whole contest",
    "vs_debezium_p50": "Debezium's median latency ÷ ours at 500 events/s",
    "vs_bare_producer": "our events/s ÷ the bare producer's; the lower one of all sizes",
    "vs_django_outbox_pattern": "our events/s ÷ those of django-outbox-pattern's loop, first size",
    "worst_disturbed": "events/s beside the worst disturbance ÷ events/s of the quiet relay",
    "flatness": "events/s behind the long log ÷ events/s behind the short one",
}
GOALS: Final = {
    "vs_debezium_throughput": 1.7,
    "vs_debezium_cpu": 8,
    "vs_debezium_memory": 8,
    "vs_debezium_p50": 5,
    "vs_bare_producer": 0.75,
    "worst_disturbed": 0.95,
}


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return the median and the range."""
    found = sorted(values)
    return {"median": statistics.median(found), "least": found[0], "most": found[-1]}


def counted(result: Result) -> list[dict[str, Any]]:
    """Return the runs that are not warm-up."""
    return [run for run in result["runs"] if run["repeat"] > 0]


def phases(result: Result, prefix: str = "") -> list[str]:
    """Return the names of the phases, in the sequence in which they were measured."""
    return list(dict.fromkeys(run["phase"] for run in counted(result) if run["phase"].startswith(prefix)))


def runs_of(result: Result, phase: str, peer: str) -> list[dict[str, Any]]:
    """Return the repeats of one measurement."""
    return [run for run in counted(result) if (run["phase"], run["peer"]) == (phase, peer)]


def median_rate(result: Result, phase: str, peer: str) -> float:
    """Return events per second."""
    return statistics.median(run["events"] / run["seconds"] for run in runs_of(result, phase, peer))


def median_cpu_us(result: Result, phase: str, peer: str, process: str = "peer") -> float:
    """Return CPU microseconds per event of one process."""
    return statistics.median(run["cpu_us"][process] for run in runs_of(result, phase, peer))


def ratios(result: Result) -> dict[str, float]:
    """Return every ratio for which both sides were measured."""
    sizes = phases(result, "throughput ")
    both = [phase for phase in sizes if runs_of(result, phase, "debezium")]
    found: dict[str, float] = {}
    if both:
        ours, first = "relay", sizes[0]
        found["vs_debezium_throughput"] = _least(both, lambda at: _rates(result, at, ours, "debezium"))
        found["vs_debezium_cpu"] = _least(
            both, lambda at: median_cpu_us(result, at, "debezium") / median_cpu_us(result, at, ours)
        )
        found["vs_debezium_memory"] = _peak(result, both, "debezium") / _peak(result, both, ours)
        found["vs_bare_producer"] = _least(both, lambda at: _rates(result, at, ours, "bare"))
        found["vs_django_outbox_pattern"] = _rates(result, first, ours, "django_outbox_pattern")
    if result["latencies"]:
        found["vs_debezium_p50"] = latency(result, "debezium", "p50_ms") / latency(result, "relay", "p50_ms")
    rates = {name: median_rate(result, name, "relay") for name in phases(result) if not name.startswith("throughput")}
    if quiet := rates.get("quiet"):
        found["worst_disturbed"] = min(rates[name] for name in disturbances(result)) / quiet
    if logs := phases_of_logs(result):
        short, long = (rates[f"{rows:,} in the log"] for rows in logs)
        found["flatness"] = long / short
    return {name: round(found[name], 3) for name in MEANING if name in found}


def disturbances(result: Result) -> list[str]:
    """Return the names of the disturbed cases."""
    if not runs_of(result, "quiet", "relay"):
        return []
    return [name for name in result["settings"]["disturbances"] if name != "quiet"]


def phases_of_logs(result: Result) -> Sequence[int]:
    """Return the lengths of the two logs, the short one first; nothing where they were not measured."""
    return result["settings"]["logs"] if any(" in the log" in name for name in phases(result)) else ()


def latency(result: Result, peer: str, figure: str) -> float:
    """Return the median over the repeats of p50_ms or p99_ms."""
    return statistics.median(one[figure] for one in result["latencies"] if one["peer"] == peer)


def _least(names: Iterable[str], ratio: Callable[[str], float]) -> float:
    return min(ratio(name) for name in names)


def _rates(result: Result, phase: str, one: str, other: str) -> float:
    return median_rate(result, phase, one) / median_rate(result, phase, other)


def _peak(result: Result, names: Iterable[str], peer: str) -> float:
    return max(run["peak_bytes"] for name in names for run in runs_of(result, name, peer))
