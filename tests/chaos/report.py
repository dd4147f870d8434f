"""What a run says at its end: a table of faults, what was never reached, and what must not be."""

from collections.abc import Iterator

from tests.chaos.run import Outcome

SHOWN = 30  # findings of a kind; the count is whole


def lines(outcome: Outcome) -> Iterator[str]:
    """Yield the table, and everything that is wrong."""
    rows = [("Fault", "Times", "In flight", "Outcome")]
    for name, record in sorted(outcome.records.items()):
        rows.append(
            (name, str(record.times), str(record.reached), record.failures[0][:60] if record.failures else "healed")
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield "passed through: " + ", ".join(f"{name} {n}" for name, n in sorted(outcome.transitions.items()))
    for name in outcome.never:
        yield f"never reached with orders in flight: {name}"
    for failure in outcome.failures:
        yield f"failure: {failure}"
    for kind in sorted({finding.kind for finding in outcome.found}):
        of_kind = [finding for finding in outcome.found if finding.kind == kind]
        for finding in of_kind[:SHOWN]:
            yield f"{kind}: {finding.text}"
        if len(of_kind) > SHOWN:
            yield f"{kind}: and {len(of_kind) - SHOWN} more"
