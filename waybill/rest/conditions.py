"""Conditional requests (RFC 9110): If-None-Match saves an answer, If-Match keeps a change from meeting another state.

A tag names a resource's state. One body has two encodings, and so two tags: the gzipped one's ends in `+gzip`. Both
are taken for the state that they name.
"""

import re
from collections.abc import Callable
from typing import Final, TypeVar

from django.db import transaction
from django.http import HttpRequest, HttpResponse

from waybill.deciders.outcomes import Code
from waybill.deciders.unit_of_work import retried
from waybill.rest.openapi.operations import View, facts_of
from waybill.rest.problem import Problem

Answer = TypeVar("Answer")
ENCODED: Final = "+gzip"
TAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
ANY: Final = "*"


def conditional(view: View) -> View:
    """Say that a change can be made to depend on the resource's state: `when` does it."""
    facts = facts_of(view)
    facts.conditions = ("If-Match", "If-None-Match")
    facts.headers += ("ETag",)
    facts.codes.append(Code.PRECONDITION_FAILED)
    return view


def unchanged(request: HttpRequest, tag: int | str) -> HttpResponse | None:
    """Return the 304 that If-None-Match asks for, or None."""
    given = request.headers.get("If-None-Match")
    if given is None or not _names(given, str(tag), weak=True):
        return None
    response = HttpResponse(status=304, headers={"ETag": f'"{tag}"'})
    del response.headers["Content-Type"]
    return response


@retried
def when(request: HttpRequest, locked_tag: Callable[[], int | str | None], change: Callable[[], Answer]) -> Answer:
    """Make a change where the request's conditions hold, in one transaction with the look at the resource.

    `locked_tag` returns the tag of the row, which it locks, or None where there is none; it is called only where there
    is a condition. Raises the 412 where one does not hold.
    """
    if not request.headers.keys() & {"If-Match", "If-None-Match"}:
        return change()
    with transaction.atomic():
        check(request, locked_tag())
        return change()


def check(request: HttpRequest, tag: int | str | None) -> None:
    """Raise the 412 where a condition of the request does not hold for this tag; None: there is nothing."""
    must, must_not = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if must is not None and (tag is None or not _names(must, str(tag), weak=False)):
        raise _failed("If-Match", must, tag)
    if must_not is not None and tag is not None and _names(must_not, str(tag), weak=True):
        raise _failed("If-None-Match", must_not, tag)


def _names(given: str, tag: str, *, weak: bool) -> bool:
    """Tell whether a condition's list of tags names this one. A weak tag names no exact state."""
    if given.strip() == ANY:
        return True
    return any(value.removesuffix(ENCODED) == tag and (weak or not mark) for mark, value in TAG.findall(given))


def _failed(header: str, given: str, tag: int | str | None) -> Problem:
    now = "there is nothing here" if tag is None else f'it is "{tag}" now'
    return Problem(
        412, Code.PRECONDITION_FAILED, f"{header}: {given[:100]!r} does not hold: {now}; nothing was changed"
    )
