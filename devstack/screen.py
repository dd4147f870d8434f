"""What the user sees: progress and errors on stderr, results on stdout, no colour off a terminal.

A closed terminal or pipe must never keep the stack from being stopped, so a failed write is dropped.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

progress = Console(stderr=True, highlight=False, soft_wrap=True)
results = Console(highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Print a line of progress."""
    with suppress(OSError):
        progress.print(line, markup=False)


def complain(line: str, details: Iterable[str] = ()) -> None:
    """Print what is wrong, then the details indented and dim."""
    with suppress(OSError):
        progress.print(f"[bold red]waybill:[/] {escape(line)}")
        for detail in details:
            progress.print(f"  [dim]{escape(detail)}[/]")


def show(line: str = "") -> None:
    """Print a line of the result."""
    with suppress(OSError):
        results.print(line, markup=False)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of the result, wide enough that no URL is ever cut."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    with suppress(OSError):
        results.print(table, crop=False)
