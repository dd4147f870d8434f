"""`outbox`: what operators ask and do. Arguments and printing only; each verb's work has a module of its own."""

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any, Final, NoReturn

from outbox_relay.cli import screen
from outbox_relay.cli.verb import DEPENDENCY_DOWN, EXITS, INTERRUPTED, USAGE, Once, Verb, text
from outbox_relay.cli.verbs import (
    acknowledge,
    dead_letters,
    events,
    partitions,
    pause,
    rebuild,
    replay,
    restore,
    sagas,
    skip,
    status,
    tasks,
    topics,
    verify,
)
from outbox_relay.operations.topology import DependencyDown, UsageError, find_topology
from waybill.application import ApplicationUnknown
from waybill.commands.printing import printable
from waybill.contracts.fields import ContractError

FINDS: Final = (
    "The databases are those of WAYBILL_OUTBOX_DATABASES (order=postgresql://…,payment=…), or of the "
    "local stack's state.json. Data goes to stdout, all else to stderr; --json prints one object a line."
)
EVERYWHERE: Final[Mapping[str, Verb]] = {
    **status.VERBS,
    **events.VERBS,
    **dead_letters.VERBS,
    **skip.VERBS,
    **tasks.VERBS,
    **acknowledge.VERBS,
    **verify.VERBS,
    **rebuild.VERBS,
    **restore.VERBS,
    **replay.VERBS,
    **pause.VERBS,
    **partitions.VERBS,
    **topics.VERBS,
}


@cache
def verbs() -> Mapping[str, Verb]:
    """Return every verb: those of the project's saga beside those that each project has. Raises ApplicationUnknown."""
    of_saga = sagas.verbs()
    for name in of_saga.keys() & EVERYWHERE.keys():
        raise ApplicationUnknown(f"the saga's verb {name!r} is a verb of every project: call its aggregate otherwise")
    return {**of_saga, **EVERYWHERE}


class _Parser(argparse.ArgumentParser):
    """One line for what it cannot understand, in place of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {printable(message)}; see {self.prog} --help\n")


class _VerbParser(_Parser):
    """Take nothing empty, and nothing twice of which one would be lost."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.register("type", None, text)
        self.register("action", None, Once)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb and leave with its exit code; an error is one line on stderr."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `outbox list | head` ends quietly
    try:
        given = _parser().parse_args(argv)
        code = verbs()[given.verb].run(given, find_topology(os.environ))
    except (UsageError, ApplicationUnknown, ContractError) as error:
        screen.tell(str(error))
        code = USAGE
    except DependencyDown as error:
        screen.tell(str(error))
        code = DEPENDENCY_DOWN
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="outbox", description=f"Ask the outboxes, and act on them. {FINDS}", epilog=EXITS)
    parser.add_argument("--version", action="version", version=f"outbox {version('waybill')}")
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_VerbParser)
    for name, verb in verbs().items():
        one = subparsers.add_parser(
            name,
            help=verb.summary,
            description=verb.summary,
            epilog=f"example:\n  {verb.example}\n\n{EXITS}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.add_argument("--service", action="append", default=[], help="only this one; may be given again")
        one.add_argument("--json", action="store_true", help="one JSON object a line")
        verb.arguments(one)
    return parser


if __name__ == "__main__":
    main()
