"""Who may do what with a collection: a hook that is called before anything else is done."""

from collections.abc import Callable
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


def bearer(reading: str, writing: str) -> May:
    """Ask for a bearer token with a scope for reading, and another one for everything else."""

    def may(request: HttpRequest, action: Action) -> None:
        caller = Bearer()(request)
        request.auth = caller  # pyright: ignore[reportAttributeAccessIssue] - where ninja puts it too
        caller.require(reading if action is Action.READ else writing)

    return may
