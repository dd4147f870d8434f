"""What a night says at its end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """What became of one situation; seconds are None where it did not come so far."""

    name: str
    signal: str
    detect_seconds: float | None
    remedy: str
    repair_seconds: float | None
    failure: str = ""


HEAD = ("Situation", "Detected by", "Detect", "Repaired by", "Repair", "")


def lines(found: Sequence[Line]) -> Iterator[str]:
    """Yield the table's rows."""
    rows = [
        HEAD,
        *(
            (one.name, one.signal, _s(one.detect_seconds), one.remedy, _s(one.repair_seconds), one.failure[:100])
            for one in found
        ),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _s(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"
