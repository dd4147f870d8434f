"""An answer that tells a client what went wrong: RFC 9457 `application/problem+json`."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

from django.http import HttpResponse

from waybill.deciders.outcomes import NotFound, NotValid, Refused

CONTENT_TYPE: Final = "application/problem+json"
MOST_ERRORS: Final = 20
LONGEST_TEXT: Final = 300
LONGEST_FIELD: Final = 100
STATUS: Mapping[type[Refused], int] = {Refused: 409, NotFound: 404, NotValid: 422}


class Problem(Exception):
    """End the request with this answer."""

    def __init__(
        self,
        status: int,
        code: StrEnum,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.headers = errors, headers or {}

    @classmethod
    def of(cls, refused: Refused) -> "Problem":
        """Return the answer to a refused command."""
        errors = [{"field": refused.field, "detail": refused.detail}] if refused.field else []
        return cls(STATUS[type(refused)], refused.code, refused.detail, errors=errors)

    def response(self, request_id: str) -> HttpResponse:
        """Return the problem as a response."""
        return HttpResponse(
            self._body(request_id), status=self.status, content_type=CONTENT_TYPE, headers=dict(self.headers)
        )

    def plain(self, request_id: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Return headers and body, for an answer that Django has no part in."""
        body = self._body(request_id)
        headers = {
            **self.headers,
            "Content-Type": CONTENT_TYPE,
            "Content-Length": str(len(body)),
            "X-Request-ID": request_id,
        }
        return [(name.encode(), value.encode()) for name, value in headers.items()], body

    def _body(self, request_id: str) -> bytes:
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": _shown(self.detail, LONGEST_TEXT),
            "request_id": request_id,
        }
        if self.errors:
            body["errors"] = [
                {name: _shown(text, LONGEST_FIELD if name == "field" else LONGEST_TEXT) for name, text in one.items()}
                for one in self.errors[:MOST_ERRORS]
            ]
        return json.dumps(body).encode()


def _shown(text: str, longest: int) -> str:
    """Return what of a text goes out: what a client sent comes back cut, and without half a surrogate."""
    cut = text if len(text) <= longest else f"{text[:longest]}…"
    return cut.encode(errors="replace").decode()
