"""What makes a page of a screen: who may see it, the banner of what was not reached, and 304 where nothing changed.

    @page("console/tasks.html", "Due tasks")
    def show(request: HttpRequest) -> Mapping[str, Any]:
        return {"tasks": ask(request, tasks.read)}

A page is asked for again every two seconds, by its own address. It then answers with its part `live` alone, which
htmx puts in the place of the one before; or with 304, by the ETag of the part that the browser has. So what changes
with the clock alone, as an age does, is no text of the page: it says since when, and `console.js` says how long.
"""

import hashlib
import re
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, NamedTuple

import structlog
from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from console_service.web.access import Forbidden, Role, for_all, viewer_of
from console_service.web.databases import unreached
from console_service.web.requests import LOST
from waybill.database.sqlstate import one_line

log: Any = structlog.get_logger()
Shows = Callable[..., Mapping[str, Any] | HttpResponse]
# A form's token is another one each time, and says nothing new.
TOKEN: Final = re.compile(rb'name="csrfmiddlewaretoken" value="[^"]*"')
SAID: Final = "said"


class Screen(NamedTuple):
    """A line of the navigation."""

    name: str
    title: str


SCREENS: Final = (
    Screen("overview", "Overview"),
    Screen("orders", "Orders"),
    Screen("attention", "Attention"),
    Screen("failures", "Failures"),
    Screen("redrives", "Redrives"),
    Screen("replays", "Replays"),
    Screen("tasks", "Due tasks"),
    Screen("relays", "Relays"),
    Screen("topics", "Topics"),
    Screen("audit", "Audit"),
)


def page(template: str, title: str, *, role: Role = Role.VIEW) -> Callable[[Shows], Callable[..., HttpResponse]]:
    """Make a view of a function that returns what its template shows. GET and HEAD alone."""

    def decorate(shows: Shows) -> Callable[..., HttpResponse]:
        @require_safe
        @wraps(shows)
        def view(request: HttpRequest, *given: Any, **named: Any) -> HttpResponse:
            try:
                viewer_of(request).require(role)
                shown = shows(request, *given, **named)
            except Forbidden as error:
                return refused(request, 403, str(error))
            if isinstance(shown, HttpResponse):
                return shown
            return rendered(request, template, {"title": title, **shown})

        return view

    return decorate


def rendered(request: HttpRequest, template: str, shown: Mapping[str, Any]) -> HttpResponse:
    """Return the whole page, or its live part; 304 where the browser has it."""
    is_poll = bool(getattr(request, "htmx", False))
    base = "console/live.html" if is_poll else "console/base.html"
    response = render(request, template, {"base": base, "polled": True, **shown})
    if is_poll:
        etag = f'"{hashlib.sha256(TOKEN.sub(b"", response.content)).hexdigest()[:32]}"'
        if request.headers.get("If-None-Match") == etag:
            response = HttpResponse(status=304)
        response.headers["ETag"] = etag
    response.headers["Vary"] = "Cookie, HX-Request"
    return response


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """Return what every template may show (Django context processor)."""
    try:
        viewer = viewer_of(request)
    except Forbidden:
        return {"viewer": None}
    match = request.resolver_match
    return {
        "viewer": viewer,
        "may_operate": viewer.may(Role.OPERATE),
        "may_see_payloads": viewer.may(Role.PAYLOAD),
        "screens": SCREENS,
        "here": match.url_name if match else "",
        "address": request.get_full_path(),
        "unreached": unreached(request),
        "said": None if getattr(request, "htmx", False) else request.session.pop(SAID, None),
    }


def refused(request: HttpRequest, status: int, why: str) -> HttpResponse:
    """Return a page that says why there is none."""
    title = {403: "Not allowed", 404: "Not found", 422: "Not done", 503: "Not reached"}.get(status, "Error")
    return render(
        request, "console/refused.html", {"title": title, "why": why, "base": "console/base.html"}, status=status
    )


@for_all
def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that did not come from a page of ours (Django's CSRF_FAILURE_VIEW)."""
    log.warning("request refused", path=request.path, reason=reason)
    return refused(request, 403, f"this form is not from a page of the console, or is too old: {reason}")


def missing(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an address where nothing is (Django's handler404)."""
    said = str(exception) if isinstance(exception, Http404) and "tried" not in str(exception) else ""
    return refused(request, 404, said or "no such page")


def failed(request: HttpRequest) -> HttpResponse:
    """Answer where something went wrong (Django's handler500)."""
    error = sys.exception()
    if isinstance(error, DatabaseError):
        connected = connection.connection is not None
        connection.close()
        request.META[LOST] = connected and request.META.get(f"{LOST}.before") is None
        request.META[f"{LOST}.before"] = True
        log.warning("database unavailable", reason=one_line(error))
        return _bare(503, "the console's own database is not reached; nothing was done, try again")
    log.error("defect", path=request.path, exc_info=error)
    return _bare(500, "an error of ours; its X-Request-ID is in our log")


def _bare(status: int, why: str) -> HttpResponse:
    """Return a page that needs no database."""
    from django.template.loader import render_to_string

    return HttpResponse(
        render_to_string("console/refused.html", {"title": "Error", "why": why, "base": "console/bare.html"}),
        status=status,
    )
