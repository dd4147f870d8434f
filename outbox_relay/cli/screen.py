"""What people and programs read: tables or JSON lines on stdout, everything else on stderr.

Keys, headers, payloads and reasons are anybody's bytes, and a terminal obeys some of them. So nothing leaves here that
is not printable: control characters (C0, DEL, C1), line separators, bidirectional overrides and the like are escaped.
"""
# ruff: noqa: T201 - printing is what this module is for

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, cast

from waybill.commands.printing import printable

Line = Mapping[str, Any]
PROGRESS_SECONDS: Final = 10.0  # between two lines where stderr is no terminal and a bar would fill a log
SPACE: Final = re.compile(r"[ \t\r\n]+")  # so that a cell stays in its line


def in_json(value: Any) -> str:
    """Return the value as JSON with all that is not printable escaped; it parses to the same."""
    text = json.dumps(value, default=_default, ensure_ascii=False)
    return text if text.isprintable() else "".join(one if one.isprintable() else _escape_json(one) for one in text)


def _escape_json(one: str) -> str:
    units = one.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def tell(text: str) -> None:
    """Say something that is not data."""
    print(f"outbox: {printable(text)}", file=sys.stderr)


def checkpoint_unusable(service: str) -> Callable[[str], object]:
    """Return what says why a checkpoint of this service is not used."""
    return lambda reason: tell(f"{service}: the checkpoint is not used, everything is folded: {reason}")


@contextmanager
def progress(what: str) -> Generator[Callable[[int, int], object]]:
    """Show on stderr how far long work is, by a bar on a terminal, else by lines; yields what takes done, total."""
    if not sys.stderr.isatty():
        yield _progress_lines(what)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    # Data that is put meanwhile goes above the bar, where both are shown on a terminal, and else where it belongs.
    with Progress(console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task(escape(printable(what)), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _progress_lines(what: str) -> Callable[[int, int], object]:
    told_at = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= PROGRESS_SECONDS:
            told_at = time.monotonic()
            tell(f"{what}: {done} of {total}")

    return show


def put_json(objects: Iterable[Line]) -> None:
    """Print one object a line."""
    for one in objects:
        print(in_json(one), flush=True)


def put(given: argparse.Namespace, rows: Sequence[Line]) -> None:
    """Print rows as --json says: an object a line, or else a table."""
    (put_json if given.json else put_table)(rows)


def put_line(text: str) -> None:
    """Print a line that is copied as it stands."""
    print(printable(text))


def put_table(rows: Sequence[Line]) -> None:
    """Print rows under the names of their columns; nothing where there are none."""
    if not rows:
        return
    names = list(rows[0])
    cells = [[name.upper() for name in names], *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def put_row(widths: Mapping[str, int], row: Line | None = None) -> None:
    """Print one row of a table that grows, at once; the names of its columns where there is no row."""
    cells = [name.upper() if row is None else _cell(row[name]) for name in widths]
    line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths.values(), strict=True))
    print(line.rstrip(), flush=True)


def put_record(title: str, fields: Line) -> None:
    """Print one thing with a line a field; a mapping within it is set in."""
    print(printable(title))
    for name, value in fields.items():
        if isinstance(value, dict):
            held = cast("dict[str, Any]", value)
            print(f"  {printable(name)}:")
            for inner, one in held.items():
                print(f"    {printable(inner)}: {_cell(one)}")
        else:
            print(f"  {printable(name)}: {_cell(value)}")


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case list() | tuple() | dict():
            return in_json(value)
        case _:
            return printable(SPACE.sub(" ", str(value)).strip(" "))


def _default(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def shower(given: argparse.Namespace, widths: Mapping[str, int]) -> Callable[[Line], object]:
    """Return what prints one line at once: nobody knows how many there will be."""
    if given.json:
        return lambda line: put_json([line])
    titled = False

    def show(line: Line) -> None:
        nonlocal titled
        if not titled:
            titled = True
            put_row(widths)
        put_row(widths, line)

    return show
