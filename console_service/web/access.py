"""Who is signed in, and as what. Nothing is shown to anybody else, unless a view says that it is for all."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

View = TypeVar("View", bound=Callable[..., HttpResponse])
SUBJECT: Final = "subject"
SCOPES: Final = "scopes"


class Role(StrEnum):
    """What somebody may do: a scope of the token that they signed in with. One may have several."""

    VIEW = "console:view"
    """May look at every screen, payloads masked. Without it nobody comes in."""
    OPERATE = "console:operate"
    """May change things: redrive, replay, pause, reschedule, settle."""
    PAYLOAD = "console:payload"
    """May see what payloads say, which each look records."""


class Forbidden(Exception):
    """Whoever is signed in lacks a role; the message names it."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is signed in."""

    subject: str
    roles: frozenset[str]

    def may(self, role: Role) -> bool:
        """Tell whether the role was given."""
        return role in self.roles

    def require(self, role: Role) -> None:
        """Raise Forbidden where the role is missing."""
        if not self.may(role):
            raise Forbidden(f"this needs the role {role}, which {self.subject} was not given")


def viewer_of(request: HttpRequest) -> Viewer:
    """Return who is signed in. Raises Forbidden where nobody is."""
    session = getattr(request, "session", {})
    if not session.get(SUBJECT):
        raise Forbidden("nobody is signed in")
    return Viewer(session[SUBJECT], frozenset(session[SCOPES]))


def for_all(view: View) -> View:
    """Mark a view as one that needs nobody signed in."""
    view.__dict__["for_all"] = True
    return view


class SignedIn:
    """Lead whoever is not signed in to the sign-in page (Django middleware)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Hand on; `process_view` looks once the view is known."""
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], _given: Any, _named: Any
    ) -> HttpResponse | None:
        """Answer in place of a view that is not for all, where nobody is signed in."""
        if getattr(view, "for_all", False) or request.session.get(SUBJECT):
            return None
        target = f"{reverse('login')}?{urlencode({'next': request.get_full_path()})}"
        if getattr(request, "htmx", False):  # a poll: the page goes there, and not its part
            return HttpResponse(status=401, headers={"HX-Redirect": reverse("login")})
        if request.method not in {"GET", "HEAD"}:
            return HttpResponse("nobody is signed in\n", status=401, content_type="text/plain")
        return redirect(target)
