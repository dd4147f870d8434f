"""`make docs`: writes what follows from the code, in pages and in other files, and the pages of the event catalogue."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from catalogue import asyncapi, book, kubernetes, pages, problems, reference, saga, scaling, tables, workflows
from devstack import manifests
from devstack.folder import CHECKOUT
from devstack.supply import licences
from waybill.contracts import generate


def main(arguments: Sequence[str] | None = None) -> int:
    """Write what is stale; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m catalogue", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    chosen = parser.parse_args(arguments)
    if not chosen.check:
        _write({saga.TABLE: saga.derived().in_json()})  # the command's verbs, of which a page tells, are read from it
    stale = {path: text for path, text in committed().items() if _text_of(path) != text}
    if chosen.check:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(CHECKOUT)} is stale; run `make docs` and commit it\n")
        return 1 if stale else 0
    _write(stale)
    _write(pages.pages(book.read()))
    names = ", ".join(str(path.relative_to(CHECKOUT)) for path in stale) or "nothing was stale"
    sys.stdout.write(f"written: {names}; open {pages.FOLDER / 'index.html'}\n")
    return 0


def committed() -> dict[Path, str]:
    """Return every generated text that is committed, as it should be."""
    return {
        **generate.stale(),
        **manifests.stale(),
        **asyncapi.documents(book.read()),
        **tables.pages(),
        **problems.pages(),
        **reference.pages(),
        saga.PAGE: saga.page(),
        scaling.PAGE: scaling.page(),
        saga.TABLE: saga.derived().in_json(),
        **workflows.workflows(),
        **kubernetes.overlays(),
        **licences.pages(),
    }


def _text_of(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _write(texts: Mapping[Path, str]) -> None:
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
