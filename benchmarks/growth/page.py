"""`python -m benchmarks.growth.page`: what docs/benchmarks.md says of many orders, made from results/grown.json."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.saga_page import PAGE

RESULTS: Final = Path(__file__).parent.parent / "results" / "grown.json"
FRESH: Final = "fresh"
GROWN: Final = "grown"
BEGIN: Final = "<!-- made by python -m benchmarks.growth.page: begin -->\n"
END: Final = "<!-- made by python -m benchmarks.growth.page: end -->\n"


def rate(turn: Mapping[str, Any]) -> float:
    """Return the orders a second of one turn."""
    return turn["sagas"] / turn["seconds"]


def cost(turn: Mapping[str, Any]) -> float:
    """Return the milliseconds of CPU that an order took in one turn."""
    return sum(turn["cpu_ms"].values())


def tables(result: Mapping[str, Any]) -> str:
    """Return everything that was measured, as Markdown."""
    said, there = result["conditions"], result["there"]
    head = (
        f"{said['machine']}; load average before the turns {said['load_before']}. {there['orders']:,} orders and all\n"
        f"that belongs to them, {there['rows']:,} rows, {there['gigabytes']} GB, made in {there['seconds']} s;\n"
        f"{said['repeats']} repeats.\n\n**`flatness`: {result['flatness']}** (goal ≥ 0.9).\n\n"
    )
    rows = [_row(result, n) for n in sorted({turn["in_flight"] for turn in result["turns"]})]
    turned = _table(
        ("In flight", "Orders/s, fresh", "grown", "Ratio", "CPU ms an order, fresh", "grown", "Ratio"), rows
    )
    return head + turned + "\n" + _plans(result["changed_plans"])


def _row(result: Mapping[str, Any], in_flight: int) -> Sequence[str]:
    def median(who: str, of: Callable[[Mapping[str, Any]], float]) -> float:
        chosen = [turn for turn in result["turns"] if (turn["who"], turn["in_flight"]) == (who, in_flight)]
        return statistics.median(map(of, chosen))

    rates = [median(who, rate) for who in (FRESH, GROWN)]
    costs = [median(who, cost) for who in (FRESH, GROWN)]
    return (
        *(str(in_flight), *(f"{one:.1f}" for one in rates), str(result[f"flatness_{in_flight}"])),
        *(*(f"{one:.2f}" for one in costs), str(result[f"cpu_{in_flight}"])),
    )


def _plans(changed: Sequence[Mapping[str, str]]) -> str:
    if not changed:
        return "No statement has another plan.\n"
    rows = [
        (one["database"], *(f"`{_short(one[name])}`" for name in ("statement", "before", "after"))) for one in changed
    ]
    return _table(("Database", "Statement whose plan changes", "Fresh", "Grown"), rows)


def _short(text: str, most: int = 120) -> str:
    text = text.replace("|", "\\|").replace("`", "'")
    return text if len(text) <= most else text[: most - 1] + "…"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


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
