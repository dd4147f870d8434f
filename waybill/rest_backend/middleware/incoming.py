"""The request that a call is made for: its id and its trace go on, and its user's token where that is wanted."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware

PASSED_ON: Final = ("X-Request-ID", "traceparent", "tracestate")
_current: ContextVar[HttpRequest | None] = ContextVar("_current", default=None)


def current_request() -> HttpRequest | None:
    """Return the request that is being answered, or None outside of one."""
    return _current.get()


def passed_on() -> dict[str, str]:
    """Return the headers that go on to services."""
    request = _current.get()
    if request is None:
        return {}
    found = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    if given := request.META.get("waybill.request_id"):
        found["X-Request-ID"] = given
    return {name: text for name, text in found.items() if text.isascii() and text.isprintable()}


def callers_token() -> str | None:
    """Return the bearer token that the request came with: for `OPTIONS["token"]`."""
    request = _current.get()
    scheme, _, token = (request.headers.get("Authorization", "") if request else "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def awaits(get_response: Callable[[HttpRequest], Any]) -> bool:
    """Tell whether a middleware's next one is to be awaited; a class of Django's says it in a way of asgiref's."""
    return iscoroutinefunction(get_response)  # pyright: ignore[reportDeprecated] - inspect's knows no such class on 3.11


@sync_and_async_middleware
def pass_on(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Remember the request while it is answered (Django middleware)."""

    def in_thread(request: HttpRequest) -> Any:
        token = _current.set(request)
        try:
            return get_response(request)
        finally:
            _current.reset(token)

    async def in_loop(request: HttpRequest) -> Any:
        token = _current.set(request)
        try:
            return await get_response(request)
        finally:
            _current.reset(token)

    return in_loop if awaits(get_response) else in_thread
