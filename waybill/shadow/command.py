"""`python -m waybill shadow [report]`: the program, which takes settings only, and the report."""

from collections.abc import Sequence

from waybill.commands.exits import DONE, USAGE
from waybill.commands.printing import teller


def main(argv: Sequence[str]) -> int:
    """Run one of the two; returns its exit code."""
    if argv[:1] == ["report"]:
        from waybill.shadow.report import main as report

        return report(argv[1:])
    if argv:
        tell = teller("shadow")
        tell("there is `python -m waybill shadow`, which takes settings only (WAYBILL_SHADOW_…), and `shadow report`")
        return DONE if argv[0] in {"-h", "--help"} else USAGE
    from waybill.shadow.program import main as program

    program()
    return DONE
