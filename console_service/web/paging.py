"""Tables by cursor: a page is asked for by the last row of the one before, so it costs the same however far it is."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from django.http import HttpRequest

Row = TypeVar("Row")
AFTER: Final = "after"
ROWS: Final = 50


@dataclass(frozen=True, slots=True)
class Rows(Generic[Row]):
    """The rows of a page; `older` is the query of the page that follows, and `first` that of the first one."""

    rows: Sequence[Row]
    older: str
    first: str

    def __bool__(self) -> bool:
        return bool(self.rows)


def after(request: HttpRequest) -> list[Any] | None:
    """Return the key of the last row of the page before; None for the first page, and for what is no cursor."""
    given = request.GET.get(AFTER, "")
    try:
        found = json.loads(base64.urlsafe_b64decode(given.encode()))
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def rows(
    request: HttpRequest, found: Sequence[Row], key: Callable[[Row], Sequence[Any]], size: int = ROWS
) -> Rows[Row]:
    """Return a page of what was found: ask for `size` + 1, so that it is known whether a page follows."""
    asked = request.GET.copy()
    asked.pop(AFTER, None)
    first = f"?{asked.urlencode()}" if request.GET.get(AFTER) else ""
    if len(found) <= size:
        return Rows(found, "", first)
    asked[AFTER] = cursor(key(found[size - 1]))
    return Rows(found[:size], f"?{asked.urlencode()}", first)


def cursor(key: Sequence[Any]) -> str:
    """Return what `after` reads a row's key from."""
    said = json.dumps(list(key), default=str, separators=(",", ":"))
    return base64.urlsafe_b64encode(said.encode()).decode()
