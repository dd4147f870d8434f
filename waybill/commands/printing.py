"""What people and programs read: tables or JSON lines on stdout, everything else on stderr; all of it printable.

Routes, fields and reasons may be anybody's bytes, and a terminal obeys some of them: what is not printable is escaped.
"""
# ruff: noqa: T201 - printing is what this module is for

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Line = Mapping[str, Any]


def printable(text: str) -> str:
    """Return the text with all that is not printable escaped as in a Python string."""
    return text if text.isprintable() else "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")


def teller(command: str) -> Callable[[str], None]:
    """Return what says something on stderr, that is not data, in the command's name."""
    return lambda text: print(f"{command}: {printable(text)}", file=sys.stderr)


def put_json(objects: Iterable[Line]) -> None:
    """Print one object a line; in ASCII, so that nothing in it moves a terminal."""
    for one in objects:
        print(json.dumps(one, default=str), flush=True)


def put_table(rows: Sequence[Line]) -> None:
    """Print rows under the names of their columns; nothing where there are none."""
    if not rows:
        return
    names = list(rows[0])
    cells = [[name.upper() for name in names], *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    return "-" if value is None else printable(" ".join(str(value).split()))
