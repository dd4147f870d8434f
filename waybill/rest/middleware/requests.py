"""What every request has around its endpoint: an id, a database session, a log line and a place in the metrics.

Django's middleware, for endpoints in threads and in the event loop alike.
"""

import inspect
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import structlog
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from waybill.database import sessions
from waybill.deciders.outcomes import Code
from waybill.observability import metrics
from waybill.observability.telemetry import new_id
from waybill.rest.openapi.operations import announce
from waybill.rest.problem import Problem
from waybill.tracing import spans

log: structlog.stdlib.BoundLogger = structlog.get_logger()
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
LONGEST_REQUEST_ID: Final = 128


@dataclass(slots=True)
class _Request:
    """One request on its way, and what is to be said of it at its end."""

    request: HttpRequest
    request_id: str
    began: float
    span: spans.Span | None

    def finished(self, response: HttpResponse) -> HttpResponse:
        if (
            response.headers.get("Content-Type", "").startswith("text/html")
            and response.status_code >= HTTPStatus.BAD_REQUEST
        ):
            response = plain(response.status_code).response(self.request_id)
        response.headers["X-Request-ID"] = self.request_id
        announce(self.request, response)
        if not response.streaming and response.status_code not in BODILESS:
            response.headers["Content-Length"] = str(len(response.content))  # else it goes out in chunks
        route = _note(self.request, response, time.perf_counter() - self.began)
        if self.span is not None:
            self.span.update_name(f"{self.request.method} /{route}")
            self.span.set_attribute("http.route", f"/{route}")
            self.span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                spans.fail(self.span, str(response.status_code))
        return response


@sync_and_async_middleware
def request_context(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Give every request an id, and every answer a log line and a place in the metrics (Django middleware)."""

    def in_thread(request: HttpRequest) -> HttpResponse:
        sessions.renew()
        with _begun(request) as begun:
            response = get_response(request)
            if request.META.pop("waybill.connection_lost", False):
                # The session was lost, stale or on a standby: nothing was written on it, and a key guards what acts.
                response = get_response(request)
            return begun.finished(response)

    async def in_loop(request: HttpRequest) -> HttpResponse:
        with _begun(request) as begun:
            return begun.finished(await get_response(request))

    return in_loop if inspect.iscoroutinefunction(get_response) else in_thread


@contextmanager
def _begun(request: HttpRequest) -> Generator[_Request]:
    given = request.headers.get("X-Request-ID", "")
    request_id = given if 0 < len(given) <= LONGEST_REQUEST_ID and given.isprintable() else new_id()
    request.META["waybill.request_id"] = request_id
    given_trace = request.headers.get("traceparent", "")
    traced = spans.span(
        f"{request.method}",
        "server",
        parent=given_trace if spans.TRACEPARENT.fullmatch(given_trace) else None,
        root=True,
        attributes={
            "http.request.method": request.method,
            "url.path": request.path,
            "waybill.request_id": request_id,
        },
    )
    with structlog.contextvars.bound_contextvars(request_id=request_id), traced as span:
        yield _Request(request, request_id, time.perf_counter(), span)


def request_id_of(request: HttpRequest) -> str:
    """Return the request's id: the client's own, or one made here."""
    return request.META["waybill.request_id"]


def plain(status: int) -> Problem:
    """Replace Django's own HTML pages."""
    if status == HTTPStatus.NOT_FOUND:
        return Problem(404, Code.NOT_FOUND, "no such path; /v1/docs lists what there is")
    if status == HTTPStatus.BAD_REQUEST:
        return Problem(400, Code.MALFORMED_REQUEST, "the request could not be read")
    return Problem(status, Code.INTERNAL_ERROR, "an error of ours; its request_id is in our log")


def _note(request: HttpRequest, response: HttpResponse, seconds: float) -> str:
    route = request.resolver_match.route if request.resolver_match else "unmatched"
    status = str(response.status_code)
    method = request.method if request.method in METHODS else "other"  # a client may send any word
    metrics.observe("http_request_seconds", seconds, method=method, route=route, status=status)
    log.info(
        "request",
        method=request.method,
        path=request.path,
        status=response.status_code,
        ms=round(seconds * 1000, 1),
    )
    return route
