"""Who has written reads the write, on the next page too, though the service reads what lags behind.

A write's answer may have a Consistency-Token. Calls to that service send it from then on, in the request and, by a
signed cookie, in the browser's next ones, and the service waits until its reads show what was written.
"""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from waybill.rest_backend.middleware.incoming import awaits
from waybill.rest_backend.service import Answer, Call

log = logging.getLogger("waybill.rest_backend")
COOKIE: Final = "waybill_own_writes"
KEPT_SECONDS: Final = 30
"""What lags longer is not waited for: an operator has heard of it by then."""
LONGEST_TOKEN: Final = 200
HEADER: Final = "Consistency-Token"


@dataclass(slots=True)
class _Writes:
    """The newest token of each service that this browser wrote to."""

    tokens: dict[str, str] = field(default_factory=dict[str, str])
    changed: bool = False


_writes: ContextVar[_Writes | None] = ContextVar("_writes", default=None)


def waiting(alias: str, call: Call, seconds: int) -> Call:
    """Return the call with the token of the service's last write, and how long it may wait for it."""
    writes = _writes.get()
    token = writes.tokens.get(alias) if writes else None
    if token is None:
        return call
    return replace(call, headers={**call.headers, HEADER: token, "Prefer": f"wait={seconds}"})


def note(alias: str, call: Call, answer: Answer) -> None:
    """Remember the answer's token, and log that the service answered before its reads had what was written."""
    if answer.headers.get("Consistency-Behind") == "true":
        log.warning("%s: %s was answered without an earlier write of the same session", alias, call)
    writes, token = _writes.get(), answer.headers.get(HEADER, "")
    if writes and call.writing and 0 < len(token) <= LONGEST_TOKEN and token.isascii() and token.isprintable():
        writes.tokens[alias], writes.changed = token, True


@sync_and_async_middleware
def read_own_writes(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Let the pages of a browser that has written show what it wrote (Django middleware)."""

    def in_thread(request: HttpRequest) -> HttpResponse:
        with _known(request) as writes:
            return _kept(writes, get_response(request))

    async def in_loop(request: HttpRequest) -> HttpResponse:
        with _known(request) as writes:
            return _kept(writes, await get_response(request))

    return in_loop if awaits(get_response) else in_thread


@contextmanager
def _known(request: HttpRequest) -> Generator[_Writes]:
    try:
        told = signing.loads(request.COOKIES.get(COOKIE, ""), salt=COOKIE, max_age=KEPT_SECONDS)
    except signing.BadSignature:
        told = {}
    writes = _Writes(cast("dict[str, str]", told))
    token = _writes.set(writes)
    try:
        yield writes
    finally:
        _writes.reset(token)


def _kept(writes: _Writes, response: HttpResponse) -> HttpResponse:
    if writes.changed:
        response.set_cookie(
            COOKIE,
            signing.dumps(writes.tokens, salt=COOKIE),
            max_age=KEPT_SECONDS,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
    return response
