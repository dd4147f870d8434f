"""docs/problems: a page for each error code, from the enums; the services answer with the same under /v1/problems/."""

import textwrap
from importlib import import_module
from pathlib import Path
from typing import Final

import catalogue.configured  # noqa: F401 # pyright: ignore[reportUnusedImport] - the services read their settings when imported
from devstack.folder import CHECKOUT
from devstack.services import SERVICES
from waybill.deciders.outcomes import Code, ErrorCode
from waybill.rest.openapi.problem_pages import known, paragraphs

FOLDER: Final = CHECKOUT / "docs" / "problems"
WIDTH: Final = 120
INDEX: Final = """# Problems

What the `code` of an error means and what a client does about it, a page each. The `type` of every answer leads to the
same page on the service itself. Made by `make docs` from the enums in
[outcomes.py](../../waybill/deciders/outcomes.py) and in each service's `domain`.

| Code | Status | Of | Means |
|---|---|---|---|
"""


def pages() -> dict[Path, str]:
    """Return the text of every page, and of their index."""
    for service in SERVICES.values():
        import_module(f"{service.package}.domain")
    codes = dict(sorted(known().items()))
    rows = [
        f"| [{name}]({name}.md) | {c.explained.status} | {_owner(c)} | {c.explained.meaning} |\n"
        for name, c in codes.items()
    ]
    texts = {
        FOLDER / f"{name}.md": "\n\n".join([f"# {name}", *map(_filled, paragraphs(code))]) + "\n"
        for name, code in codes.items()
    }
    return {FOLDER / "index.md": INDEX + "".join(rows), **texts}


def _filled(paragraph: str) -> str:
    return textwrap.fill(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)


def _owner(code: ErrorCode) -> str:
    return "every service" if isinstance(code, Code) else f"`{type(code).__module__.partition('.')[0]}`"
