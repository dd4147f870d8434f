"""Lists a page at a time, with a way on and a way back that no insertion shifts: keyset cursors.

A cursor is the key of the row that the page begins behind, and the direction. A client takes it from a link and knows
nothing of what is in it. UUIDv7 keys rise with the time of creation, so a range of time is a range of keys; where rows
came from elsewhere too, under keys of another kind, the key is the time with the primary key behind it.
"""

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from ninja.params.functions import Query
from pydantic import AwareDatetime, BeforeValidator

from waybill.deciders.outcomes import Code
from waybill.rest.answers import answer
from waybill.rest.openapi.operations import View, facts_of
from waybill.rest.problem import not_valid

MOST: Final = 100  # rows of a page, and ids of a request for several
AFTER, BEFORE = ">", "<"
BETWEEN: Final = " "  # two columns of a key; neither a time nor a primary key of ours has one
CLOCKS: Final = timedelta(hours=1)  # between the clock that made a key and the one that set `created_at`, at most
RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def _moment(given: Any) -> Any:
    if not (isinstance(given, str) and RFC3339.fullmatch(given)):
        raise ValueError("give a time with its offset from UTC, as in 2026-01-31T12:00:00Z")
    return given


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
CreatedAfter = Annotated[
    Moment | None, Query(description="Only what was created then or later.", example="2026-01-31T12:00:00Z")
]
CreatedBefore = Annotated[
    Moment | None, Query(description="Only what was created before then.", example="2026-01-31T13:00:00Z")
]
Limit = Annotated[int, Query(ge=1, le=MOST, description="How many a page has at most.", example=20)]
Cursor = Annotated[
    str | None, Query(max_length=400, description="Where the page begins: from `next` or `prev` of another page.")
]


def several(description: str, alias: str | None = None) -> Any:
    """Return the annotation's part that makes a parameter one that may be repeated."""
    return Query(alias=alias, max_length=MOST, description=f"{description} Repeat it for several, {MOST} at most.")


def listed(view: View) -> View:
    """Say that the endpoint answers with a page of a list; many ids can make its target too long."""
    facts_of(view).headers += ("Link",)
    facts_of(view).codes.append(Code.TARGET_TOO_LONG)
    return view


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a list, and where it goes on in both directions."""

    rows: list[Any]
    links: dict[str, str]
    """`first`, and `next` and `prev` where there is more."""

    def answer(self, items: list[dict[str, Any]]) -> HttpResponse:
        """Return the page as an answer; the links stand in the body and in `Link` (RFC 8288)."""
        body = {"items": items, "next": self.links.get("next"), "prev": self.links.get("prev")}
        return answer(200, body, link=", ".join(f'<{url}>; rel="{rel}"' for rel, url in self.links.items()))


def page(
    request: HttpRequest, rows: QuerySet[Any], column: str, limit: int, cursor: str | None, *, then: str | None = None
) -> Page:
    """Return up to `limit` rows by a unique column, or by a column and `then` a unique one (`-column`: both falling).

    Raises a 422 where the cursor is not one of ours.
    """
    falling = column.startswith("-")
    names = [column.lstrip("-"), *([then] if then else [])]
    direction, keys = AFTER, None
    if cursor is not None:
        # Django's documented _meta
        direction, keys = _decoded(cursor, [rows.model._meta.get_field(name) for name in names])  # noqa: SLF001
        rows = rows.filter(_beyond(names, keys, "lt" if falling is (direction == AFTER) else "gt"))
    forward = direction == AFTER
    found = list(rows.order_by(*(f"-{name}" if falling is forward else name for name in names))[: limit + 1])
    more, found = len(found) > limit, found[:limit]
    if not forward:
        found.reverse()
    links = {"first": _link(request, None)}
    if found and (more or not forward):
        links["next"] = _link(request, AFTER + _key(found[-1], names))
    if found and (more if not forward else keys is not None):
        links["prev"] = _link(request, BEFORE + _key(found[0], names))
    return Page(found, links)


def _beyond(names: list[str], keys: list[Any], than: str) -> Q:
    first = Q(**{f"{names[0]}__{than}": keys[0]})
    if len(names) == 1:
        return first
    # The first condition follows from the second, and is what an index can begin at.
    return Q(**{f"{names[0]}__{than}e": keys[0]}) & (first | Q(**{f"{names[1]}__{than}": keys[1]}))


def _key(row: Any, names: list[str]) -> str:
    values = [getattr(row, name) for name in names]
    return BETWEEN.join(value.isoformat() if isinstance(value, datetime) else str(value) for value in values)


def created(
    rows: QuerySet[Any], after: datetime | None, before: datetime | None, key: str | None = None
) -> QuerySet[Any]:
    """Return those created in a range of time. `key`: their UUIDv7, made with them, by whose index they are found."""
    if after is not None:
        rows = rows.filter(created_at__gte=after)
        rows = rows.filter(**{f"{key}__gte": _first_uuid7(after, -CLOCKS)}) if key else rows
    if before is not None:
        rows = rows.filter(created_at__lt=before)
        rows = rows.filter(**{f"{key}__lt": _first_uuid7(before, CLOCKS)}) if key else rows
    return rows


def _first_uuid7(moment: datetime, shift: timedelta) -> UUID:
    """Return the smallest UUIDv7 of a millisecond."""
    since = (moment - datetime(1970, 1, 1, tzinfo=UTC) + shift) // timedelta(milliseconds=1)
    return UUID(int=min(max(since, 0), 2**48 - 1) << 80)


def _link(request: HttpRequest, cursor: str | None) -> str:
    query = request.GET.copy()
    query.pop("cursor", None)
    if cursor is not None:
        query["cursor"] = base64.urlsafe_b64encode(cursor.encode()).decode().rstrip("=")
    return f"{request.path}?{query.urlencode()}" if query else request.path


def _decoded(cursor: str, fields: list[Any]) -> tuple[str, list[Any]]:
    """Return the direction and the keys that `_link` encoded. PostgreSQL takes no NUL, and we write none."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        if text[:1] in (AFTER, BEFORE) and text.isprintable():
            given = text[1:].split(BETWEEN) if len(fields) > 1 else [text[1:]]
            return text[0], [field.to_python(one) for field, one in zip(fields, given, strict=True)]
    except (ValueError, ValidationError):
        pass
    raise not_valid("cursor", "not a cursor of this list; start again without it")
