"""Who has written reads the write: an answer to a write has a token, and a request with it waits, within a bound."""

import time
from typing import Final

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from waybill.rest.collections.collection import Collection
from waybill.rest.waiting import wanted

HEADER: Final = "Consistency-Token"
BEHIND: Final = "Consistency-Behind"
USUAL_SECONDS: Final = 2
MOST_SECONDS: Final = 5  # a thread waits all the time
EVERY_SECONDS: Final = 0.01


def wait(request: HttpRequest, collection: Collection) -> None:
    """Wait until reads show what the request's token stands for, at most as long as `Prefer: wait=N` says."""
    token = request.headers.get(HEADER)
    if token is None:
        return
    asked = wanted(request)
    deadline = time.monotonic() + (USUAL_SECONDS if asked is None else min(asked, MOST_SECONDS))
    while not collection.has_seen(token):
        if time.monotonic() >= deadline:
            request.META["waybill.behind"] = True
            return
        time.sleep(EVERY_SECONDS)


def told(request: HttpRequest, response: HttpResponse, collection: Collection) -> HttpResponse:
    """Return the answer with the token of what it wrote, and with word of a wait that was not long enough."""
    if request.META.pop("waybill.behind", False):
        response.headers[BEHIND] = "true"
    if request.method not in ("GET", "HEAD") and (token := _token(collection)) is not None:
        response.headers[HEADER] = token
    return response


def _token(collection: Collection) -> str | None:
    """Return the token of what was committed; a database that went away since then makes no error of it."""
    try:
        return collection.token()
    except DatabaseError:
        return None
