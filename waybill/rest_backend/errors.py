"""What a service's answer means to Django: never a wrong answer in place of an error.

| answer | exception |
|---|---|
| none, 429, 5xx, HTML, half a JSON, a redirect, a row that lacks a field | OperationalError (ServiceUnavailable) |
| 401, once the token was asked for again | OperationalError (NotAuthenticated) |
| 403 | PermissionDenied |
| 404 of a collection, 405, 400 and other 4xx | ProgrammingError |
| 409 | IntegrityError |
| 409 `already_exists` | AlreadyExists: IntegrityError and ValidationError by field |
| 412 | ValidationError (StaleVersion) |
| 422 of a read | NotSupportedError: the service has no such field or lookup |
| 422 of a write | ValidationError by field (NotValid) |
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.db import IntegrityError, NotSupportedError, OperationalError, ProgrammingError

LONGEST_SHOWN: Final = 300
UNAVAILABLE: Final = frozenset({429, 500, 502, 503, 504})


class ServiceUnavailable(OperationalError):
    """A service that gives no answer that could be used; the call may succeed later."""

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class NotAuthenticated(OperationalError):
    """A service that does not accept the token."""


class TooManyRows(NotSupportedError):
    """A queryset that would fetch more rows than the connection's limit."""


class RefusedWrite(ValidationError):
    """A write that a service refused for what it says; nothing was written."""

    model: Any = None
    instances: Sequence[Any] = ()
    """What was to be inserted."""
    pks: Sequence[Any] = ()
    """Of the rows that were to be changed or deleted."""


class NotValid(RefusedWrite):
    """Values that the service does not accept; its messages stand by column."""


class AlreadyExists(IntegrityError, RefusedWrite):
    """A unique value that another row has: for `get_or_create` as for forms."""


class StaleVersion(RefusedWrite):
    """A row that was changed by somebody else since it was read."""


def of(call: str, status: int, problem: Mapping[str, Any], *, writing: bool, retry_after: float | None) -> Exception:
    """Return the exception that an answer of 4xx or 5xx means."""
    said = f"{call}: {status}: {_detail(problem)}"
    if status in UNAVAILABLE:
        return ServiceUnavailable(said, retry_after=retry_after)
    match status:
        case 401:
            return NotAuthenticated(said)
        case 403:
            return PermissionDenied(said)
        case 409:
            taken = writing and problem.get("code") == "already_exists"
            return AlreadyExists(_by_field(problem)) if taken else IntegrityError(said)
        case 412:
            return StaleVersion("This was changed by somebody else meanwhile. Load it again.", code="stale")
        case 422 if writing:
            return NotValid(_by_field(problem))
        case 422:
            return NotSupportedError(said)
        case _:
            return ProgrammingError(said) if status < 500 else ServiceUnavailable(said, retry_after=retry_after)  # noqa: PLR2004 - 5xx


def _detail(problem: Mapping[str, Any]) -> str:
    return str(problem.get("detail") or problem.get("title") or "no detail")[:LONGEST_SHOWN]


def _by_field(problem: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the messages by column; the whole of an answer that names no fields stands for the row."""
    told: dict[str, list[str]] = {}
    errors = problem.get("errors")
    for error in cast("list[Any]", errors) if isinstance(errors, list) else []:
        if isinstance(error, dict):
            one = cast("dict[str, Any]", error)
            told.setdefault(str(one.get("field") or NON_FIELD_ERRORS), []).append(str(one.get("detail")))
    return told or {NON_FIELD_ERRORS: [_detail(problem)]}
