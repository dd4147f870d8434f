"""`python -m waybill gateway status | shift | rollback`: arguments and output; codes as the `outbox` command's."""

import argparse
import getpass
import os
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from waybill.commands.exits import DEPENDENCY_DOWN, DONE, EXITS, INTERRUPTED, MISMATCH, PARTIAL, USAGE
from waybill.commands.parsing import Parser
from waybill.commands.printing import put_json, put_table, teller
from waybill.gateway.documents.document import Refused
from waybill.gateway.moving import moves, shifting, status
from waybill.gateway.moving.moves import Move, NotPossible
from waybill.gateway.moving.record import Taken
from waybill.gateway.moving.shifting import Watch, Who
from waybill.gateway.moving.watching import Limits, NotWatchable

tell = teller("gateway")
Given = argparse.Namespace


def main(argv: Sequence[str]) -> int:
    """Run one verb and return its exit code."""
    given = _parser().parse_args(argv)
    if given.folder is None:
        tell("say which gateway: --folder FOLDER, or WAYBILL_GATEWAY_FOLDER")
        return USAGE
    try:
        return int(given.run(given))
    except (NotPossible, Refused) as error:
        tell(str(error))
        return USAGE
    except Taken as error:
        tell(f"{error}; nothing is changed. Ending that command takes its move back")
        return MISMATCH
    except (NotWatchable, OSError) as error:
        tell(str(error))
        return DEPENDENCY_DOWN


def _status(given: Given) -> int:
    found = status.rules(given.folder)
    current, running = status.running(given.folder)
    if given.json:
        put_json(one | {"generation": current, "envoy": running} for one in found)
    else:
        put_table([_line(one) for one in found])
    open_moves = list(dict.fromkeys(one["move"] for one in found if one["move"]))
    for said in open_moves:
        tell(said)
    if running is None:
        tell(f"generation {current} is current; Envoy does not answer")
        return PARTIAL
    if running != current:
        tell(f"generation {current} is current, and Envoy runs {running}: its log says why")
    return MISMATCH if open_moves or running != current else DONE


def _line(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "route": one["route"],
        "rule": one["rule"],
        "requests": one["header"] or "all",
        "services": _said(one["services"]),
        "move": "see below" if one["move"] else None,
    }


def _said(services: dict[str, float]) -> str:
    return ", ".join(f"{name} {percent:g} %" for name, percent in services.items())


def _shift(given: Given) -> int:
    route, _, rule = given.route.partition("/")
    move = Move(route=route, rule=rule, service=given.to, weight=given.weight, header=given.header)
    limits = Limits(given.errors, given.latency, given.mismatches, given.least)
    watch = Watch(given.watch, limits, given.shadow)
    with _stoppable() as interrupted:
        result = shifting.shift(given.folder, move, Who(given.by, given.reason), watch, interrupted)
    _put(given, result)
    observed = result.get("observed")
    match result["result"]:
        case "unchanged":
            tell(f"route {route} is there already; nothing is changed")
        case "taken_back":
            tell(f"route {route} went back: {result['why']}")
            return INTERRUPTED if result.get("interrupted") else MISMATCH
        case _ if observed and not observed["judged"]:
            tell(f"only {observed['requests']} requests came: too few to judge by (--least {given.least})")
        case _:
            pass
    return DONE


def _rollback(given: Given) -> int:
    route, _, rule = given.route.partition("/")
    if rule:
        raise NotPossible(f"the last move of a route is taken back, whichever rule it moved: rollback {route}")
    _put(given, shifting.rollback(given.folder, given.route, Who(given.by, given.reason)))
    return DONE


def _put(given: Given, result: dict[str, Any]) -> None:
    if given.json:
        put_json([result])
        return
    rows = result.get("to" if result["result"] == "kept" or "undoes" in result else "from") or result.get("now") or ()
    if given.verb == "rollback":
        rows = result["to"]
    put_table(
        [
            {
                "route": one["route"],
                "rule": one["rule"],
                "requests": one["header"] or "all",
                "services": _said(one["services"]),
            }
            for one in rows
            if one["in_use"]
        ]
    )
    if result.get("in_effect_ms") is not None:
        tell(f"in effect after {result['in_effect_ms']} ms, generation {result['generation']}")


@contextmanager
def _stoppable() -> Generator[Callable[[], bool]]:
    """Yield what tells whether the operator has asked to stop; asked twice, the command ends at once."""
    asked: list[int] = []

    def stop(number: int, _frame: object) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _operator() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in a container
        return f"uid {os.getuid()}"


def _parser() -> Parser:
    top = Parser(
        prog="python -m waybill gateway",
        description="Move routes from service to service, watched, on record, and back.",
        epilog=EXITS,
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)
    for name, run, summary in (
        ("status", _status, "Where each route leads, and what is under way."),
        ("shift", _shift, "Move requests of a route to a service, watch them, go back past a limit."),
        ("rollback", _rollback, "Take back the last move of a route that is in effect."),
    ):
        verb = verbs.add_parser(name, help=summary, description=summary, epilog=EXITS)
        configured = os.environ.get("WAYBILL_GATEWAY_FOLDER")
        verb.add_argument(
            "--folder",
            type=Path,
            default=Path(configured) if configured else None,
            help="the gateway's folder (default: WAYBILL_GATEWAY_FOLDER)",
        )
        verb.add_argument("--json", action="store_true", help="one JSON object a line")
        verb.set_defaults(run=run)
        if name != "status":
            verb.add_argument("route", metavar="ROUTE", help="name of the HTTPRoute; of `shift` also ROUTE/RULE")
            verb.add_argument("--reason", type=_text, required=True, help="why, for those who read it later")
            verb.add_argument("--by", type=_text, metavar="NAME", default=_operator(), help="who (default: the login)")
        if name == "shift":
            _shift_arguments(verb)
    return top


def _shift_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--to", required=True, metavar="SERVICE", help="the service, as `status` names it: namespace/name"
    )
    which = verb.add_mutually_exclusive_group(required=True)
    which.add_argument("--weight", type=_percent, metavar="N", help="percent of the requests, 0 to 100")
    which.add_argument(
        "--header", type=_header, metavar="NAME=VALUE", help="the requests with this header, and no others"
    )
    verb.add_argument(
        "--watch",
        type=_number,
        default=60.0,
        metavar="SECONDS",
        help="how long to watch; 0: not (default: %(default)g)",
    )
    verb.add_argument(
        "--errors",
        type=_number,
        default=0.01,
        metavar="SHARE",
        help="go back where the share of 5xx is more than this above the others' (default: %(default)g)",
    )
    verb.add_argument(
        "--latency",
        type=_number,
        default=2.0,
        metavar="TIMES",
        help="go back where 95 %% take longer than so many times the others' (default: %(default)g)",
    )
    verb.add_argument(
        "--least",
        type=_count,
        default=50,
        metavar="N",
        help="requests before anything is judged (default: %(default)d)",
    )
    verb.add_argument("--shadow", type=Path, metavar="FILE", help="the shadow program's file: its mismatches count too")
    verb.add_argument(
        "--mismatches",
        type=_number,
        default=0.01,
        metavar="SHARE",
        help="go back where a larger share of compared answers differs (default: %(default)g)",
    )


def _text(given: str) -> str:
    told = " ".join(given.split())
    if not told:
        raise argparse.ArgumentTypeError("it is empty")
    return told


def _percent(given: str) -> int:
    if not given.isdecimal() or int(given) > moves.ALL:
        raise argparse.ArgumentTypeError(f"{given!r} is no whole percent from 0 to 100")
    return int(given)


_TOKEN: Final = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


def _header(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name or not value or set(name.lower()) - _TOKEN or not value.isprintable():
        raise argparse.ArgumentTypeError(f"{given!r} is no NAME=VALUE of a header")
    return name, value


def _number(given: str) -> float:
    number = float(given)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{given} is no number from 0 on")
    return number


def _count(given: str) -> int:
    if not given.isdecimal() or int(given) < 1:
        raise argparse.ArgumentTypeError(f"{given!r} is no whole number above 0")
    return int(given)
