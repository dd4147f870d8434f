"""Sign in with a token of the issuer that the services trust; and out.

The token is checked as the services check it: signature, issuer, audience, expiry. Its scopes are the roles. It is not
kept: what is kept is who it named, in a session of the console's own, and no longer than the token was valid.

`make up` prints a link that has the token of its development issuer behind a `#`, which no browser sends to a server;
`console.js` puts it into the form. The form posts, so that no link of a stranger's signs anybody in.
"""

import time
from typing import Any

import jwt
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from console_service.settings import ConsoleSettings
from console_service.web.access import SCOPES, SUBJECT, Role, for_all, viewer_of
from console_service.web.record import record
from waybill.rest.auth import Bearer
from waybill.rest.problem import Problem
from waybill.runtime.settings import read

log: Any = structlog.get_logger()


@for_all
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    """Show the form, or sign in by it."""
    target = target_of(request)
    if request.method != "POST":
        return _form(request, target)
    return sign_in(request, request.POST.get("token", "").strip(), target)


def sign_in(request: HttpRequest, token: str, target: str) -> HttpResponse:
    """Begin a session for whom the token names, and lead on; or show the form again, with the reason."""
    try:
        caller = Bearer().authenticate(request, token)
    except Problem as problem:
        return refused(request, target, problem.status, problem.detail)
    if not caller.may(Role.VIEW):
        log.warning("sign-in refused", subject=caller.subject)
        return refused(request, target, 403, f"the token lacks the scope {Role.VIEW}")
    valid_until = float(jwt.decode(token, options={"verify_signature": False})["exp"])  # verified a moment ago
    request.session.flush()  # a session of before the sign-in, which somebody else may know, is none
    request.session[SUBJECT] = caller.subject
    request.session[SCOPES] = sorted(caller.scopes & set(Role))
    request.session.set_expiry(int(min(settings.SESSION_COOKIE_AGE, valid_until - time.time())))
    record(caller.subject, "console sign-in", "", {"roles": request.session[SCOPES]})
    return redirect(target)


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """End the session."""
    record(viewer_of(request).subject, "console sign-out", "", {})
    request.session.flush()
    return redirect("login")


def target_of(request: HttpRequest) -> str:
    """Return where to go once signed in: a page of ours, whatever the address says."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    return wanted if url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) else reverse("overview")


def refused(request: HttpRequest, target: str, status: int, why: str) -> HttpResponse:
    """Show the form with the reason."""
    return _form(request, target, status, why)


def _form(request: HttpRequest, target: str, status: int = 200, why: str = "") -> HttpResponse:
    issuer = read(ConsoleSettings).console_oidc
    shown = {"title": "Sign in", "next": target, "why": why, "issuer": issuer, "base": "console/base.html"}
    return render(request, "console/login.html", shown, status=status)
