"""Sign in at the issuer itself: OpenID Connect's authorization code flow, with PKCE.

    GET /login/start      state and verifier into the session; to the issuer
    GET /callback         the state must be the session's; the code is exchanged for a token, which signs in

The access token is what the services take too: a JWT of the same issuer and audience, whose scopes are the roles. It is
checked as one that was typed in is (form.py), and is not kept.
"""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from typing import Any, Final
from urllib.parse import urlencode

import httpx2 as httpx
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from console_service.settings import ConsoleSettings, Issuer
from console_service.sign_in.form import refused, sign_in, target_of
from console_service.web.access import for_all
from waybill.runtime.http_client import HttpClient
from waybill.runtime.settings import read

log: Any = structlog.get_logger()
STATE, VERIFIER, NEXT = "oidc_state", "oidc_verifier", "oidc_next"
ANSWER_SECONDS: Final = 10.0
STARTED_SECONDS: Final = 600  # for whoever types a password there


@for_all
@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """Lead the browser to the issuer."""
    issuer = read(ConsoleSettings).console_oidc
    if issuer is None:
        return refused(request, target_of(request), 404, "this console was told of no issuer to sign in at")
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
    request.session[STATE], request.session[VERIFIER] = state, verifier
    request.session[NEXT] = target_of(request)
    request.session.set_expiry(STARTED_SECONDS)
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": issuer.client_id,
        "redirect_uri": _callback(request),
        "scope": issuer.scope,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return redirect(f"{issuer.authorize_url}?{urlencode(asked)}")


@for_all
@require_safe
def callback(request: HttpRequest) -> HttpResponse:
    """Take the issuer's answer."""
    target = request.session.pop(NEXT, reverse("overview"))
    state, verifier = request.session.pop(STATE, ""), request.session.pop(VERIFIER, "")
    if not state or not secrets.compare_digest(state, request.GET.get("state", "")):
        return refused(request, target, 403, "this answer is to no question of this browser's; sign in again")
    code, issuer = request.GET.get("code"), read(ConsoleSettings).console_oidc
    if not code or issuer is None:
        return refused(request, target, 403, f"the issuer says {request.GET.get('error', 'nothing')}")
    try:
        token = _exchanged(request, issuer, code, verifier)
    except (httpx.HTTPError, ValueError, KeyError) as error:
        log.warning("code not exchanged", reason=repr(error))
        return refused(request, target, 503, "the issuer did not give a token for its code; try again")
    return sign_in(request, token, target)


def _exchanged(request: HttpRequest, issuer: Issuer, code: str, verifier: str) -> str:
    """Return the token that the issuer gives for its code. Raises httpx.HTTPError, ValueError, KeyError."""
    given = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": _callback(request),
        "client_id": issuer.client_id,
        "code_verifier": verifier,
    }
    by_secret = httpx.BasicAuth(issuer.client_id, issuer.client_secret) if issuer.client_secret else None
    with HttpClient(ANSWER_SECONDS) as client:
        answer = client.post(issuer.token_url, data=given, auth=by_secret).raise_for_status()
    return str(answer.json()["access_token"])


def _callback(request: HttpRequest) -> str:
    # TLS ends before us, where cookies are for TLS alone.
    scheme = "https" if settings.SESSION_COOKIE_SECURE else "http"
    return f"{scheme}://{request.get_host()}{reverse('callback')}"
