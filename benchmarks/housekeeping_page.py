"""The table of `benchmarks.housekeeping` in docs/benchmarks.md, made from its result."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.stage import CHECKOUT

RESULTS: Final = Path(__file__).parent / "results" / "housekeeping.json"
PAGE: Final = CHECKOUT / "docs" / "benchmarks.md"
BEGIN, END = (f"<!-- made by python -m benchmarks.housekeeping: {word} -->" for word in ("begin", "end"))


def page(result: Mapping[str, Any], before: str) -> str:
    """Return the page with the table of a result in its place."""
    head, _, rest = before.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table(result)}{END}{tail}"


def table(result: Mapping[str, Any]) -> str:
    """Return what was measured, as a table."""
    machine, kept = result["machine"], result["housekeeping"]
    drop, delete, archive = kept["drop"], kept["delete"], kept["archive"]
    verify, replay, reads = result["verify_from_mark"], result["replay_by_time"], result["relay_reads"]
    single, many = (result["appends"][f"{events} a transaction"] for events in (1, 200))
    rows = [
        ("a range dropped", f"{drop['detach_and_drop_ms']} ms; longest append {drop['append_longest_ms']} ms"),
        ("as many rows deleted", f"{delete['seconds']} s; longest append meanwhile {delete['append_longest_ms']} ms"),
        ("left of them on the disk after VACUUM", f"{delete['mb_left_after_vacuum']} MB; of a range that is dropped 0"),
        ("archived before", f"{archive['events'] / archive['seconds']:,.0f} events/s, {archive['mb']} MB"),
        (
            "appends, one a transaction",
            f"{single['ranges']}/s; in one piece {single['one piece']}/s: {single['ratio']}",
        ),
        ("appends, 200 a transaction", f"{many['ranges']}/s; in one piece {many['one piece']}/s: {many['ratio']}"),
        ("read by the relay", f"{reads['ranges']}/s; in one piece {reads['one piece']}/s: {reads['ratio']}"),
        ("`verify` from its mark", f"{verify['ranges']['seconds']} s; in one piece {verify['one piece']['seconds']} s"),
        ("a replay by time planned", f"{replay['buffers']:,} pages of {len(replay['tables'])} range"),
        *_later(result),
    ]
    lines = [f"| {what} | {measure} |" for what, measure in rows]
    says = (
        f"{machine['cores']} cores, {machine['system']}; load average before {machine['load_average_before']}.\n"
        f"{result['events']:,} events in {result['ranges']} ranges, {result['bytes'] / 1e9:.0f} GB; in one piece: one "
        "range's events.\n"
    )
    return "\n".join([says, "| | |", "| --- | --- |", *lines, ""])


def _later(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what comes last, and is missing from a run that was broken off."""
    if forgotten := result.get("forgetting"):
        yield "inbox rows, answers forgotten", " and ".join(f"{rate:,}/s" for rate in forgotten.values())
    if adopt := result.get("adopt"):
        yield "`partitions adopt`", f"{adopt['seconds']} s; longest append {adopt['append_longest_ms']} ms"
