"""What an endpoint's decorators say of it: what they enforce is what the OpenAPI document tells."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast

from django.http import HttpRequest, HttpResponse

from waybill.deciders.outcomes import Code, ErrorCode

P = ParamSpec("P")
ANNOUNCED: Final = "waybill.announced"
View = TypeVar("View", bound=Callable[..., Any])
Endpoint = Callable[Concatenate[HttpRequest, P], HttpResponse]


@dataclass(slots=True)
class Facts:
    """What is known of an endpoint beside its signature."""

    scope: str | None = None
    """That the token must have; None: any token will do."""
    codes: list[ErrorCode] = field(default_factory=list[ErrorCode])
    """Of the errors that only some endpoints have."""
    idempotent: bool = False
    """Whether it takes an Idempotency-Key."""
    conditions: tuple[str, ...] = ()
    """The headers that make it conditional."""
    takes: tuple[str, ...] = ()
    """Other headers that it heeds."""
    headers: tuple[str, ...] = ()
    """Of its answers, beside those that all have."""
    links: dict[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """Operations that an answer leads to → their parameters, as expressions on the answer."""
    answers: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """Status → answer, as OpenAPI has it, of those that no type describes."""
    schemas: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Those that its answers refer to and no type describes, by name."""
    reads_query: bool = False
    """Whether it reads the query itself, and refuses what it does not know."""
    commands: tuple[Callable[..., Any], ...] = ()
    """The endpoints that change what this one only reads."""
    deprecated: bool = False
    """Whether its end is announced."""
    media_types: tuple[str, ...] = ("application/json",)
    """That it can answer with."""


def facts_of(view: Callable[..., Any]) -> Facts:
    """Return what is known of an endpoint, to be added to; a wrapper made with `wraps` shares them."""
    return view.__dict__.setdefault("facts", Facts())


def requires(scope: str) -> Callable[[View], View]:
    """Let the endpoint take only tokens with the scope: any other is 403, before parameters and body are looked at."""

    def mark(view: View) -> View:
        facts = facts_of(view)
        facts.scope = scope
        facts.codes.append(Code.FORBIDDEN)
        return view

    return mark


def raises(*codes: ErrorCode) -> Callable[[View], View]:
    """Say which errors the endpoint can end with, beside those that follow from its parameters and decorators."""

    def mark(view: View) -> View:
        facts_of(view).codes.extend(codes)
        return view

    return mark


def sends(*headers: str) -> Callable[[View], View]:
    """Say which headers the endpoint's answers have, beside those that all have."""

    def mark(view: View) -> View:
        facts_of(view).headers += headers
        return view

    return mark


def tagged(view: View) -> View:
    """Say that the endpoint answers with an ETag, and not again while the client has the newest."""
    facts = facts_of(view)
    facts.conditions, facts.headers = ("If-None-Match",), (*facts.headers, "ETag")
    return view


def leads_to(**links: Mapping[str, str]) -> Callable[[View], View]:
    """Say which operations follow on an answer, and what their parameters are: `read={"id": "$response.body#/id"}`."""

    def mark(view: View) -> View:
        facts_of(view).links.update(links)
        return view

    return mark


def deprecated(since: datetime, sunset: datetime, page: str) -> Callable[[View], View]:
    """Announce the end of an endpoint in each of its answers, errors too: RFC 9745 and RFC 8594.

    `page` is the URL that tells what takes its place. Raises ValueError for a time without a zone, and a sunset before
    the deprecation.
    """
    if since.tzinfo is None or sunset.tzinfo is None:
        raise ValueError("give `since` and `sunset` a time zone: datetime(2026, 1, 1, tzinfo=UTC)")
    if sunset < since:
        raise ValueError(f"the sunset, {sunset}, is before the deprecation, {since}")
    announced = {
        "Deprecation": f"@{int(since.timestamp())}",
        "Sunset": format_datetime(sunset.astimezone(UTC), usegmt=True),
        "Link": f'<{page}>; rel="deprecation"; type="text/html"',
    }

    def mark(view: View) -> View:
        @wraps(view)
        def in_thread(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            request.META[ANNOUNCED] = announced
            return view(request, *args, **kwargs)

        @wraps(view)
        async def in_loop(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            request.META[ANNOUNCED] = announced
            return await view(request, *args, **kwargs)

        announcing = in_loop if iscoroutinefunction(view) else in_thread
        facts = facts_of(announcing)
        facts.headers += tuple(announced)
        facts.deprecated = True
        return cast("View", announcing)

    return mark


def announce(request: HttpRequest, response: HttpResponse) -> None:
    """Add to an answer what its endpoint announces."""
    for name, value in request.META.get(ANNOUNCED, {}).items():
        before = response.headers.get(name)
        response.headers[name] = f"{before}, {value}" if before and name == "Link" else value
