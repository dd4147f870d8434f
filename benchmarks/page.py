"""`python -m benchmarks.page`: the tables and the plot of docs/benchmarks.md, made from results/relay.json alone."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from benchmarks.ratios import (
    GOALS,
    MEANING,
    Result,
    disturbances,
    median_cpu_us,
    median_rate,
    phases,
    phases_of_logs,
    runs_of,
    spread,
)
from devstack.harness.stack import CHECKOUT

RESULTS: Final = Path(__file__).parent / "results" / "relay.json"
PAGE: Final = CHECKOUT / "docs" / "benchmarks.md"
PLOT: Final = CHECKOUT / "docs" / "benchmarks-relay.svg"
BEGIN: Final = "<!-- made by python -m benchmarks.page: begin -->\n"
END: Final = "<!-- made by python -m benchmarks.page: end -->\n"
PEERS: Final = {
    "relay": "this relay",
    "debezium": "Debezium",
    "django_outbox_pattern": "django-outbox-pattern",
    "bare": "bare producer (the limit)",
    "bare_as_relay": "bare producer, the relay's settings",
}
PROCESSES: Final = {"peer": "itself", "kafka": "broker", "postgres": "database", "load": "load"}
BAR, ROW, LEFT, WIDTH = 22, 34, 250, 400


def tables(result: Result) -> str:
    """Return everything that was measured, as Markdown."""
    parts = [_conditions(result), _ratios(result), _throughput(result), _latency(result), _idle(result)]
    return "\n".join(part for part in (*parts, _alone(result), _outage(result), _transactions(result)) if part)


def plot(result: Result) -> str:
    """Return the bars of events per second, as SVG."""
    bars: list[tuple[str, float]] = []
    for phase in phases(result, "throughput "):
        for name, title in PEERS.items():
            if runs := runs_of(result, phase, name):
                bars.append((f"{title}, {runs[0]['events']:,}", median_rate(result, phase, name)))
    most = max((rate for _, rate in bars), default=1.0)
    height = ROW * len(bars) + 10
    box = f'viewBox="0 0 {LEFT + WIDTH + 90} {height}" font-family="sans-serif" font-size="12"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-label="Events per second">']
    for number, (label, rate) in enumerate(bars):
        top, length = 5 + number * ROW, max(1, round(rate / most * WIDTH))
        colour = "#2563eb" if label.startswith(PEERS["relay"]) else "#94a3b8"
        lines += [
            f'  <text x="{LEFT - 8}" y="{top + 15}" text-anchor="end" fill="#64748b">{escape(_short(label))}</text>',
            f'  <rect x="{LEFT}" y="{top}" width="{length}" height="{BAR}" fill="{colour}"/>',
            f'  <text x="{LEFT + length + 6}" y="{top + 15}" fill="#64748b">{rate:,.0f}/s</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def write(result: Result) -> None:
    """Bring the page and the plot up to date."""
    PAGE.write_text(page(result, PAGE.read_text()))
    PLOT.write_text(plot(result))


def page(result: Result, text: str) -> str:
    """Return the page with its tables as the result has them."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    picture = f"![Events per second]({PLOT.name})"
    return f"{before}{BEGIN}{tables(result)}\n{picture}\n{END}{after}"


def _short(label: str) -> str:
    return label.replace(" (the limit)", "").replace("the relay's settings", "relay's set.")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]]) + "\n"


def _range(values: Iterable[float], form: str = ",.0f") -> str:
    found = spread(values)
    return f"{found['median']:{form}} ({found['least']:{form}} to {found['most']:{form}})"


def _conditions(result: Result) -> str:
    machine, given = result["machine"], result["settings"]
    ran = ",\n".join(f"{name.replace('_', ' ')} {number}" for name, number in result["versions"].items())
    return (
        f"{machine['cores']} cores, {machine['memory_gb']:.0f} GB, {machine['system']}; "
        f"load average before the run {machine['load_average_before']}.\n{ran}.\n"
        f"{given['repeats']} repeats ({given['pairs']} of the disturbed and log cases); "
        f"warm-up of {given['warm_up']:,} events, not counted.\n"
    )


def _ratios(result: Result) -> str:
    rows = [
        (f"`{name}`", f"{value:.2f}", f"{GOALS[name]:g}" if name in GOALS else "", MEANING[name])
        for name, value in result["ratios"].items()
    ]
    return _table(("Ratio", "Measured", "Goal", "What it is"), rows)


def _throughput(result: Result) -> str:
    rows = [row for phase in phases(result, "throughput ") for row in _peers(result, phase)]
    head = ("Events", "Who", "Events/s", *(f"{name}, CPU µs" for name in PROCESSES.values()), "Peak MB")
    return _table(head, rows) if rows else ""


def _outage(result: Result) -> str:
    rows = list(_peers(result, "after an outage"))
    head = ("Waiting", "Started cold", "Events/s", *(f"{name}, CPU µs" for name in PROCESSES.values()), "Peak MB")
    return _table(head, rows) if rows else ""


def _transactions(result: Result) -> str:
    rows: list[Sequence[str]] = []
    for name in dict.fromkeys(one["phase"] for one in result.get("transactions", ())):
        own = [one for one in result["transactions"] if one["phase"] == name]
        rates = _range(run["events"] / run["seconds"] for run in runs_of(result, name, "relay"))
        cpu = [f"{median_cpu_us(result, name, 'relay', process):.1f}" for process in ("peer", "kafka")]
        times = [_range((one[figure] for one in own), ".2f") for figure in ("p50_ms", "p99_ms")]
        rows.append((name, rates, *cpu, *times))
    rate = result["settings"]["latency_events_per_second"]
    head = ("The relay's batches", "Events/s", "itself, CPU µs", "broker, CPU µs", f"p50 ms at {rate}/s", "p99 ms")
    return _table(head, rows) if rows else ""


def _peers(result: Result, phase: str) -> Iterable[Sequence[str]]:
    for name, title in PEERS.items():
        runs = runs_of(result, phase, name)
        if runs:
            rates = _range(run["events"] / run["seconds"] for run in runs)
            cpu = [f"{median_cpu_us(result, phase, name, process):.1f}" for process in PROCESSES]
            peak = max(run["peak_bytes"] for run in runs) / 1e6
            yield f"{runs[0]['events']:,}", title, rates, *cpu, f"{peak:,.0f}"


def _latency(result: Result) -> str:
    rows: list[Sequence[str]] = []
    for name in dict.fromkeys(one["peer"] for one in result["latencies"]):
        own = [one for one in result["latencies"] if one["peer"] == name]
        times = [_range((one[figure] for one in own), ".2f") for figure in ("p50_ms", "p99_ms")]
        cpu = [f"{spread(one['cpu_us'][process] for one in own)['median']:.0f}" for process in PROCESSES]
        rows.append((PEERS[name], *times, *cpu))
    rate = result["settings"]["latency_events_per_second"]
    head = (f"At {rate} events/s", "p50 ms", "p99 ms", *(f"{name}, CPU µs" for name in PROCESSES.values()))
    return _table(head, sorted(rows, key=lambda row: row[0] != PEERS["relay"])) if rows else ""


def _idle(result: Result) -> str:
    rows: list[Sequence[str]] = []
    for name in dict.fromkeys(one["peer"] for one in result["idle"]):
        own = [one["percent"] for one in result["idle"] if one["peer"] == name]
        shown = [_range((percent[process] for percent in own), ".2f") for process in ("peer", "kafka", "postgres")]
        rows.append((PEERS[name], *shown))
    head = ("Idle", "itself, % of a core", "broker, %", "database, %")
    return _table(head, sorted(rows, key=lambda row: row[0] != PEERS["relay"])) if rows else ""


def _alone(result: Result) -> str:
    cases = [("quiet", name) for name in ("quiet", *disturbances(result))] if disturbances(result) else []
    if logs := phases_of_logs(result):
        cases += [(f"{logs[0]:,} in the log", f"{rows:,} in the log") for rows in logs]
    rows: list[Sequence[str]] = []
    for against, name in cases:
        rates = _range(run["events"] / run["seconds"] for run in runs_of(result, name, "relay"))
        share = median_rate(result, name, "relay") / median_rate(result, against, "relay")
        cpu = [f"{median_cpu_us(result, name, 'relay', process):.1f}" for process in ("peer", "kafka", "postgres")]
        rows.append((name, rates, f"{share:.2f}", *cpu))
    head = (
        "The relay alone",
        "Events/s",
        "of the quiet or short one",
        "itself, CPU µs",
        "broker, CPU µs",
        "database, CPU µs",
    )
    return _table(head, rows) if rows else ""


def main() -> None:
    """Make the page and the plot anew."""
    result: dict[str, Any] = json.loads(RESULTS.read_text())
    write(result)


if __name__ == "__main__":
    main()
