"""The arguments that every verb has, and the kinds of values that some have."""

import argparse
from collections.abc import Callable
from typing import Any, Final

from waybill.migrate.command.project import EXITS, Project

MOST_KEYS: Final = 1_000  # of a transaction: each takes two places in the table of locks that all sessions share


class Verbs:
    """The verbs of the command, each with the arguments that all have."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        """Begin with none."""
        self._verbs: Any = parser.add_subparsers(required=True, metavar="VERB")

    def add(self, name: str, run: Callable[[Project], int], text: str) -> argparse.ArgumentParser:
        """Add a verb, and return its parser for arguments of its own."""
        made = self.add_bare(name, lambda given: run(Project(given)), text)
        made.add_argument("--aggregate", action="append", default=[], metavar="NAME", help="only this; repeatable")
        return made

    def add_bare(self, name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        """Add a verb that needs no mapping and no app of Waybill's to be there."""
        made: argparse.ArgumentParser = self._verbs.add_parser(name, help=text, description=text, epilog=EXITS)
        made.set_defaults(run=run)
        made.add_argument("--mapping", help="the mapping file (default: WAYBILL['MAPPING'], or migrate.toml)")
        made.add_argument("--json", action="store_true", help="print JSON lines")
        return made


def count(text: str) -> int:
    """Return a whole number from 1."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return int(text)


def batch(text: str) -> int:
    """Return how many keys a transaction takes."""
    if not 1 <= int(text) <= MOST_KEYS:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {MOST_KEYS}")
    return int(text)


def seconds(text: str) -> float:
    """Return a time; 0 is one."""
    return 0.0 if float(text) == 0 else positive(text)


def positive(text: str) -> float:
    """Return a number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value
