"""The verb that comes before all others: `check`."""

import argparse
from dataclasses import asdict
from typing import Final

from waybill.migrate.command.parsing import Verbs
from waybill.migrate.command.project import DONE, FOUND, mapping_of

MARKS: Final = {True: "ok", False: "to do", None: "not seen"}


def add(verbs: Verbs) -> None:
    """Add the verb."""
    text = "Look at what a project needs before any of its rows move, and say what to do. Writes nothing."
    checking = verbs.add_bare("check", _check, text)
    checking.add_argument(
        "--health", metavar="ADDRESS", help="path, or URL, that answers 200 while the project is well"
    )
    checking.add_argument("--metrics", metavar="ADDRESS", help="path, or URL, with counts in Prometheus' format")


def _check(given: argparse.Namespace) -> int:
    from waybill.migrate import screen
    from waybill.migrate.checking import checklist

    in_the_way = 0
    for one in checklist.look(mapping_of(given), given.health, given.metrics):
        in_the_way += one.stands_in_the_way
        mark = MARKS[one.ok] if one.required or one.ok else "advice"
        screen.put({"kind": "check", **asdict(one)}, f"{mark:9}{one.name}: {one.found}", as_json=given.json)
        if one.do and not given.json:
            screen.put({}, f"{'':9}{one.do}", as_json=False)
    said = {"kind": "checked", "ready": not in_the_way, "in_the_way": in_the_way}
    screen.put(said, "ready" if not in_the_way else f"{in_the_way} to do before anything moves", as_json=given.json)
    return FOUND if in_the_way else DONE
