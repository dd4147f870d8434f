"""An answer that tells a client what went wrong: RFC 9457 `application/problem+json`."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from django.http import HttpResponse

from waybill.deciders.outcomes import Code, ErrorCode, Refused

CONTENT_TYPE: Final = "application/problem+json"
MOST_ERRORS: Final = 20
LONGEST_TEXT: Final = 300
LONGEST_FIELD: Final = 100
TYPES: Final = "/v1/problems/"  # with the code's name: where its page is, on the service itself


class Problem(Exception):
    """End the request with this answer."""

    def __init__(
        self,
        status: int,
        code: ErrorCode,
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
        return cls(refused.code.explained.status, refused.code, refused.detail, errors=errors)

    def response(self, request_id: str) -> HttpResponse:
        """Return the problem as a response."""
        headers = {"Cache-Control": "no-store", **self.headers}
        return HttpResponse(self._body(request_id), status=self.status, content_type=CONTENT_TYPE, headers=headers)

    def plain(self, request_id: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Return headers and body, for an answer that Django has no part in."""
        body = self._body(request_id)
        headers = {
            "Cache-Control": "no-store",
            **self.headers,
            "Content-Type": CONTENT_TYPE,
            "Content-Length": str(len(body)),
            "X-Request-ID": request_id,
        }
        return [(name.encode(), value.encode()) for name, value in headers.items()], body

    def _body(self, request_id: str) -> bytes:
        return json.dumps(self.as_json(request_id)).encode()

    def as_json(self, request_id: str) -> dict[str, Any]:
        """Return what stands in the answer's body."""
        body: dict[str, Any] = {
            "type": f"{TYPES}{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": str(self.code),
            "detail": _shown(self.detail, LONGEST_TEXT),
            "request_id": request_id,
            "retryable": self.code.explained.retryable,
        }
        if self.errors:
            body["errors"] = [
                {name: _shown(text, LONGEST_FIELD if name == "field" else LONGEST_TEXT) for name, text in one.items()}
                for one in self.errors[:MOST_ERRORS]
            ]
        return body


def _shown(text: str, longest: int) -> str:
    """Return what of a text goes out: what a client sent comes back cut, and without half a surrogate."""
    cut = text if len(text) <= longest else f"{text[:longest]}…"
    return cut.encode(errors="replace").decode()


def not_valid(field: str, detail: str, code: ErrorCode = Code.NOT_VALID, **headers: str) -> Problem:
    """Return a 422 that names the field; keywords become headers (`retry_after` → Retry-After)."""
    errors = [{"field": field, "detail": detail}]
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return Problem(422, code, f"{field}: {detail}", errors=errors, headers=named)
