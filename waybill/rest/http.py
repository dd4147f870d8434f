"""What every REST interface here has in common: its paths, its bodies, its errors.

Also Django's URL configuration: `urlpatterns` is filled by `serve_api`.
"""

import re
from collections.abc import Callable, Iterator
from functools import wraps
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import ninja
import structlog
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import Error as DatabaseFailed
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, URLResolver, path
from django.views.static import serve
from ninja import Schema
from ninja.errors import HttpError, ValidationError
from pydantic import ConfigDict

from waybill.database import sessions
from waybill.database.sqlstate import ErrorClass, classify, one_line
from waybill.deciders.outcomes import Code, CommandRefused
from waybill.deciders.service import Service
from waybill.observability.telemetry import Cause
from waybill.rest.auth import Bearer, BearerInLoop, caller_of
from waybill.rest.middleware.methods import OFFERED, Offer
from waybill.rest.middleware.requests import plain, request_id_of
from waybill.rest.middleware.strict_input import StrictParser, refuse_unknown_query
from waybill.rest.openapi import problem_pages
from waybill.rest.openapi.document import Api
from waybill.rest.openapi.operations import Facts, facts_of
from waybill.rest.problem import MOST_ERRORS, TYPES, Problem
from waybill.rest.serving.request_threads import in_loop
from waybill.rest.serving.security_headers import DOCUMENTATION
from waybill.runtime.settings import settings
from waybill.tracing import spans
from waybill.tracing.spans import TRACEPARENT

log: structlog.stdlib.BoundLogger = structlog.get_logger()
PAGES: Final = ("v1/docs", TYPES[1:], f"{TYPES[1:]}<str:name>")  # for people
DOCUMENT: Final = "v1/openapi.json"
FAILURES = ("500", "503")  # what an alert counts must be there from the start; any other status comes with its first
LONGEST_TRACESTATE = 512
ONE_LINE = r"^[^\x00-\x1f\x7f]+$"  # text for people: no control characters, which PostgreSQL and mails refuse
urlpatterns: list[URLPattern | URLResolver] = []


class Body(Schema):
    """A request body: a field that is not known is an error, not a typing mistake that goes unseen."""

    model_config = ConfigDict(extra="forbid", strict=True)


def serve_api(service: Service, api: ModuleType) -> list[dict[str, str]]:
    """Put the service's API, and its documentation under Django's URLs.

    Returns the label sets of `http_request_seconds` that are known beforehand.
    """
    described = Api(
        title=service.name.replace("_", " ").capitalize(),
        description=(api.__doc__ or "").strip(),
        version="1",
        docs_url="/v1/docs",
        openapi_url="/v1/openapi.json",
        auth=Bearer(),
        parser=StrictParser(),
        docs_decorator=_with_own_scripts,
        urls_namespace=service.name,
    )
    described.add_router("/v1", api.router)
    for kind, handler in HANDLERS.items():
        described.add_exception_handler(kind, handler)
    for router in described._get_bound_routers():  # pyright: ignore[reportPrivateUsage] - the operations that run are copies
        for view in router.path_operations.values():
            for operation in view.operations:
                _guard(operation)
    urlpatterns[:] = [
        path("static/<path:path>", _static),
        path(TYPES[1:], problem_pages.index),
        path(f"{TYPES[1:]}<str:name>", problem_pages.page),
        path("", described.urls),
    ]
    OFFERED.clear()
    OFFERED.update(_offered(api))
    return [
        {"method": method, "route": route, "status": status}
        for route, offers in OFFERED.items()
        if route not in (*PAGES, DOCUMENT)
        for method in offers
        for status in FAILURES
    ]


def _guard(operation: Any) -> None:
    """Let an operation check query, token and scope before the rest of a request is looked at."""
    facts = facts_of(operation.view_func)
    bearer = BearerInLoop if operation.is_async else Bearer
    operation.auth_callbacks = [bearer(facts.scope)]
    if not facts.reads_query:
        refuse_unknown_query(operation, _problem)


def endpoints(router: Any) -> Iterator[tuple[str, Any]]:
    """Yield the path, without `/v1`, and the operation of every endpoint of a router and those below it."""
    for mount in router.build_routers(""):
        prefix = f"/{mount.prefix.strip('/')}".rstrip("/")  # of a router below: without its first slash
        for path_below, view in mount.template.path_operations.items():
            for operation in view.operations:
                yield f"{prefix}{path_below}", operation


def _offered(api: ModuleType) -> dict[str, dict[str, Offer]]:
    """Return what every path of the API takes and gives."""
    offered = {page: {"GET": Offer(("text/html",))} for page in PAGES} | {DOCUMENT: {"GET": Offer()}}
    for route, operation in endpoints(api.router):
        facts = facts_of(operation.view_func)
        commands = _commands(api.router, facts) if facts.reads_query else None
        offer = Offer(facts.media_types, _takes_body(operation), commands)
        offered.setdefault(path_of(f"v1{route}"), {}).update(dict.fromkeys(operation.methods, offer))
    return offered


def _commands(router: Any, facts: Facts) -> str:
    """Return what changes the rows that an endpoint only reads."""
    wanted = [facts_of(command) for command in facts.commands]
    named = [
        f"{method} /v1{route}"
        for route, operation in endpoints(router)
        if any(facts_of(operation.view_func) is one for one in wanted)
        for method in operation.methods
    ]
    return f"What changes it: {', '.join(named)}" if named else "It follows from events; no request changes it"


def _takes_body(operation: Any) -> bool:
    return any(model.__ninja_param_source__ == "body" for model in operation.models)


def path_of(route: str) -> str:
    """Return the name by which Django knows a route of the API: `v1/things/<uuid:id>`."""
    return re.sub(r"\{([^}]+)\}", r"<\1>", route)


def _with_own_scripts(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Let the documentation's page run its scripts, where an answer otherwise runs nothing."""

    @wraps(view)
    def shown(*given: Any, **named: Any) -> HttpResponse:
        response = view(*given, **named)
        response.headers["Content-Security-Policy"] = DOCUMENTATION
        return response

    return shown


def _static(request: HttpRequest, path: str) -> HttpResponseBase:
    """Return a file of the API's documentation page."""
    return serve(request, path, document_root=str(Path(ninja.__file__).parent / "static"))


def cause(request: HttpRequest) -> Cause:
    """Return the cause of what this request leads to."""
    request_id = request_id_of(request)
    return Cause(
        correlation_id=request_id,
        request_id=request_id,
        actor=caller_of(request).subject,
        **_trace(request),
    )


def _trace(request: HttpRequest) -> dict[str, str]:
    """Return the request's span, and the state of the trace that it came with, which travel with every event from here.

    Where no span is recorded of it, the trace headers travel as they came, if they are well-formed: a trace that began
    here and is not recorded would cost every event that follows two headers, and tell nobody anything.
    """
    parent, state = request.headers.get("traceparent", ""), request.headers.get("tracestate", "")
    own = spans.current()
    if not TRACEPARENT.fullmatch(parent):
        return {"traceparent": own} if own and spans.is_sampled(own) else {}
    parent = own or parent
    return (
        {"traceparent": parent, "tracestate": state}
        if 0 < len(state) <= LONGEST_TRACESTATE and state.isascii() and state.isprintable()
        else {"traceparent": parent}
    )


def _problem(request: HttpRequest, problem: Problem) -> HttpResponse:
    return problem.response(request_id_of(request))


def _refused(request: HttpRequest, error: CommandRefused) -> HttpResponse:
    return _problem(request, Problem.of(error.refused))


def _validation(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [
        {"field": _field(e["loc"]), "detail": str(e["msg"]).removeprefix("Value error, ")}
        for e in error.errors[:MOST_ERRORS]
    ]
    first = errors[0] if errors else {"field": "body", "detail": "not valid"}
    detail = f"{first['field']}: {first['detail']}"
    return _problem(request, Problem(422, Code.NOT_VALID, detail, errors=errors))


def _field(location: tuple[str | int, ...]) -> str:
    """Return `lines[0].quantity` for ("body", "given", "lines", 0, "quantity")."""
    parts = location[2:] if location[0] == "body" else location[1:]
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts).lstrip(".") or "body"


def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    if isinstance(error.__cause__, Problem):  # what the parser of bodies refuses
        return _problem(request, error.__cause__)
    if error.status_code == HTTPStatus.BAD_REQUEST:  # raised where the body is no JSON
        return _problem(request, Problem(400, Code.MALFORMED_JSON, "the body is not valid JSON"))
    return _problem(request, Problem(error.status_code, Code.NOT_VALID, str(error)))


def _suspicious(request: HttpRequest, _: Exception) -> HttpResponse:
    return _problem(request, plain(400))


def _too_large(request: HttpRequest, _: Exception) -> HttpResponse:
    limit = settings().max_body_bytes
    return _problem(request, Problem(413, Code.BODY_TOO_LARGE, f"the body is larger than {limit} bytes"))


def _database_failed(request: HttpRequest, error: Exception) -> HttpResponse:
    found = classify(error)
    if found is None or found is ErrorClass.RECORD:
        return _defect(request, error)
    if not in_loop():  # there, what asked the database did so by a thread's session and has seen to it
        _replace_session(request, found)
    (log.error if found is ErrorClass.ENVIRONMENT else log.warning)(
        "database unavailable", error_class=found.value, reason=one_line(error)
    )
    detail = "our database is away; nothing was done, try again"
    return _problem(request, Problem(503, Code.DATABASE_UNAVAILABLE, detail, headers={"Retry-After": "1"}))


def _replace_session(request: HttpRequest, found: ErrorClass) -> None:
    connected = connection.connection is not None
    connection.close()  # the next request gets a session of its own: another server may have taken over
    if found is ErrorClass.WRONG_SERVER:
        sessions.end_all()
    if connected and not request.META.get("waybill.retried"):
        request.META["waybill.connection_lost"] = request.META["waybill.retried"] = True


def _defect(request: HttpRequest, error: Exception) -> HttpResponse:
    log.error("defect", path=request.path, exc_info=error)
    return _problem(request, plain(500))


HANDLERS: dict[type[Exception], Callable[..., HttpResponse]] = {
    Problem: _problem,
    CommandRefused: _refused,
    ValidationError: _validation,
    HttpError: _http,
    RequestDataTooBig: _too_large,
    SuspiciousOperation: _suspicious,
    DatabaseFailed: _database_failed,
    Exception: _defect,
}
