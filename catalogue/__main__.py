"""`make docs`: writes the AsyncAPI documents and the pages of the event catalogue."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from catalogue import asyncapi, book, pages


def main(arguments: Sequence[str] | None = None) -> int:
    """Write what is stale; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m catalogue", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when docs/asyncapi is stale")
    chosen = parser.parse_args(arguments)
    told = book.read()
    stale = {path: text for path, text in asyncapi.documents(told).items() if _text_of(path) != text}
    if chosen.check:
        for path in stale:
            sys.stderr.write(f"catalogue: docs/asyncapi/{path.name} is stale; run `make docs` and commit it\n")
        return 1 if stale else 0
    _write(stale)
    _write(pages.pages(told))
    sys.stdout.write(f"docs/asyncapi: {len(stale)} written; open {pages.FOLDER / 'index.html'}\n")
    return 0


def _text_of(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _write(texts: Mapping[Path, str]) -> None:
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
