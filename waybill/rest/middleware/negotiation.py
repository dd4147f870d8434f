"""Methods, media types and encodings, settled alike for every endpoint by a Django middleware."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from waybill.rest.middleware import methods
from waybill.rest.middleware.encoding import encode
from waybill.rest.problem import Problem


@sync_and_async_middleware
def negotiated(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Answer HEAD as GET, OPTIONS, and what no endpoint takes; compress. The server sends no body to HEAD."""
    if iscoroutinefunction(get_response):  # pyright: ignore[reportDeprecated] - Python 3.11 has no mark of its own

        async def in_loop(request: HttpRequest) -> HttpResponseBase:
            return _encoded(request, _before(request) or await get_response(request))

        return in_loop

    def in_thread(request: HttpRequest) -> HttpResponseBase:
        return _encoded(request, _before(request) or get_response(request))

    return in_thread


def _before(request: HttpRequest) -> HttpResponse | None:
    try:
        refused = methods.refused(request)
    except Problem as problem:
        return problem.response(request.META["waybill.request_id"])
    if request.method == "HEAD":
        request.method = "GET"
    return refused


def _encoded(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    encode(request, response)
    return response
