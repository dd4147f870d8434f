"""What people and programs read: tables or JSON lines on stdout, everything else on stderr."""
# ruff: noqa: T201 - printing is what this module is for

import json
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

Line = Mapping[str, Any]


def tell(text: str) -> None:
    """Say something that is not data."""
    print(f"outbox: {text}", file=sys.stderr)


@contextmanager
def progress(what: str) -> Generator[Callable[[int, int], object]]:
    """Show how far long work is, on stderr where that is a terminal; yields what takes done and total."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def put_json(objects: Iterable[Line]) -> None:
    """Print one object a line."""
    for one in objects:
        print(json.dumps(one, default=_plain, ensure_ascii=False), flush=True)


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
    print(title)
    for name, value in fields.items():
        if isinstance(value, dict):
            held = cast("dict[str, Any]", value)
            print(f"  {name}:")
            for inner, one in held.items():
                print(f"    {inner}: {_cell(one)}")
        else:
            print(f"  {name}: {_cell(value)}")


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case list() | tuple() | dict():
            return json.dumps(value, default=_plain, ensure_ascii=False)
        case _:
            return " ".join(str(value).split())


def _plain(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
