"""`python -m waybill shadow report`: what the comparisons found, by route, as tables or JSON lines."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from waybill.commands.exits import DEPENDENCY_DOWN, DONE, EXITS, MISMATCH, USAGE
from waybill.commands.parsing import Parser
from waybill.commands.printing import put_json, put_table, teller
from waybill.shadow.findings import Unreadable, read

tell = teller("shadow report")

DESCRIPTION: Final = (
    "What the shadow program found, by route: how many answers were compared, how many differed beyond the noise, in "
    "which fields, and samples. Data goes to stdout, all else to stderr."
)


def main(argv: Sequence[str]) -> int:
    """Print the report; 1 where a route's mismatches pass the threshold."""
    given = _parser().parse_args(argv)
    if given.file is None:
        tell("say which file: --file PATH, or WAYBILL_SHADOW_FILE as the shadow program has it")
        return USAGE
    try:
        found = read(given.file)
    except Unreadable as error:
        tell(str(error))
        return DEPENDENCY_DOWN
    routes = [one for one in found["routes"] if not given.route or one["route"] in given.route]
    known = [one["route"] for one in found["routes"]]
    for name in given.route:
        if name not in known:
            tell(f"no route {name!r}; known are {', '.join(known)}")
            return USAGE
    if given.json:
        put_json({**one, "since": found["since"]} for one in routes)
    else:
        _put(routes, found["since"], with_samples=given.samples)
    return _code(routes, given.threshold)


def _code(routes: Sequence[dict[str, Any]], threshold: float) -> int:
    wrong = [one for one in routes if (one["mismatch_rate"] or 0) > threshold]
    for one in wrong:
        tell(f"{one['route']}: {one['mismatched']} of {one['compared']} answers differ")
    for one in routes:
        if not one["compared"]:
            tell(f"{one['route']}: nothing was compared yet")
    return MISMATCH if wrong else DONE


def _put(routes: Sequence[dict[str, Any]], since: str, *, with_samples: bool) -> None:
    put_table(
        [
            {
                "route": one["route"],
                "compared": one["compared"],
                "mismatched": one["mismatched"],
                "rate": None if one["mismatch_rate"] is None else f"{one['mismatch_rate']:.2%}",
                "dropped": one["not_compared"]["dropped"],
                "not compared": sum(one["not_compared"].values()) - one["not_compared"]["dropped"],
                "since": since,
            }
            for one in routes
        ]
    )
    put_table([{"route": one["route"], **_place(place)} for one in routes for place in one["fields"]])
    if with_samples:
        put_table(
            [
                {"route": one["route"], "at": sample["at"], "request": sample["request_id"], **difference}
                for one in routes
                for sample in one["samples"]
                for difference in sample["differences"]
            ]
        )


def _place(place: dict[str, Any]) -> dict[str, Any]:
    return {
        "field": place["field"],
        "differs by": ",".join(place["kinds"]),
        "candidate": place["candidate_differs"],
        "second control": place["second_control_differs"],
        "verdict": "noise" if place["noise"] else "differs" if place["candidate_differs"] else None,
    }


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 <= rate <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share from 0 to 1")
    return rate


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m waybill shadow report", description=DESCRIPTION, epilog=EXITS)
    configured = os.environ.get("WAYBILL_SHADOW_FILE")
    parser.add_argument(
        "--file",
        type=Path,
        default=Path(configured) if configured else None,
        help="the shadow program's file (default: WAYBILL_SHADOW_FILE)",
    )
    parser.add_argument("--route", action="append", default=[], help="only this one; may be given again")
    parser.add_argument("--samples", action="store_true", help="print the samples too; --json always has them")
    parser.add_argument(
        "--threshold", type=_rate, default=0.0, metavar="SHARE", help="exit 1 where more mismatch (default: 0)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line, one for each route")
    return parser
