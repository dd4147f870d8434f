"""Who may do what with a collection: a hook that is called before anything else is done."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from django.http import HttpRequest

from waybill.rest.auth import Bearer


class Action(StrEnum):
    """What a request wants to do."""

    READ = "read"
    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"


May = Callable[[HttpRequest, Action], None]


def anybody(_request: HttpRequest, _action: Action) -> None:
    """Let every caller do everything."""


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a bearer token must have; None: any token will do."""

    reading: str | None
    writing: str | None

    def __call__(self, request: HttpRequest, action: Action) -> None:
        """Raise a 401 without a token, and a 403 without the scope."""
        caller = Bearer(self.reading if action is Action.READ else self.writing)(request)
        request.auth = caller  # pyright: ignore[reportAttributeAccessIssue] - where ninja puts it too


def bearer(reading: str | None = None, writing: str | None = None) -> Scopes:
    """Ask for a bearer token with a scope for reading, and another one for everything else; None: with any."""
    return Scopes(reading, writing)
