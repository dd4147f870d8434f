"""Around each request: a database session that is not stale, an id, a log line and a place in the metrics."""

import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from django.http import HttpRequest, HttpResponse

from waybill.database import sessions
from waybill.observability import metrics
from waybill.observability.telemetry import new_id

log: Any = structlog.get_logger()
METHODS: Final = frozenset({"GET", "HEAD", "POST"})
LOST: Final = "console.connection_lost"


def request_context(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Give every request an id, and every answer what all answers say (Django middleware)."""

    def middleware(request: HttpRequest) -> HttpResponse:
        sessions.renew()
        request_id, began = new_id(), time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = get_response(request)
            if request.META.pop(LOST, False) and request.method in {"GET", "HEAD"}:
                response = get_response(request)  # on a session of its own; nothing was changed by the first one
            response.headers.setdefault("Cache-Control", "no-store")
            response.headers["X-Request-ID"] = request_id
            # Browsers leave the origin out of a form's POST under `no-referrer`, and CSRF is checked by it.
            response.headers["Referrer-Policy"] = "same-origin"
            if not response.streaming and response.status_code != 304:  # noqa: PLR2004
                response.headers["Content-Length"] = str(len(response.content))
            _note(request, response, time.perf_counter() - began)
        return response

    return middleware


def _note(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    route = request.resolver_match.route if request.resolver_match else "unmatched"
    method = request.method if request.method in METHODS else "other"
    metrics.observe("http_request_seconds", seconds, method=method, route=route, status=str(response.status_code))
    log.info("request", method=method, path=request.path, status=response.status_code, ms=round(seconds * 1000, 1))
