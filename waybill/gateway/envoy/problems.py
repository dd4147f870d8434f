"""What the gateway itself answers where it refuses: problem details, as the services behind it answer them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from waybill.deciders.outcomes import Code

CONTENT_TYPE: Final = "application/problem+json"
TYPES: Final = "/v1/problems/"
RETRY_SECONDS: Final = "1"
# Where two codes have one status, Envoy's flag of the response tells them apart: UO, a circuit breaker is open.
CODES: Final = (
    (400, "", Code.MALFORMED_REQUEST),
    (401, "", Code.UNAUTHENTICATED),
    (403, "", Code.FORBIDDEN),
    (404, "", Code.NOT_FOUND),
    (408, "", Code.TIMED_OUT),
    (413, "", Code.BODY_TOO_LARGE),
    (429, "", Code.RATE_LIMITED),
    (431, "", Code.HEAD_TOO_LARGE),
    (503, "UO", Code.OVERLOADED),
    (503, "", Code.BACKEND_UNAVAILABLE),
    (504, "", Code.BACKEND_TIMED_OUT),
    (500, "", Code.INTERNAL_ERROR),
)


def local_replies() -> Mapping[str, Any]:
    """Return how Envoy writes an answer of its own, by status."""
    return {"mappers": [_mapper(status, flag, code) for status, flag, code in CODES]}


def _mapper(status: int, flag: str, code: Code) -> Mapping[str, Any]:
    filters: list[Mapping[str, Any]] = [_has_status(status)]
    if flag:
        filters.append({"response_flag_filter": {"flags": [flag]}})
    headers = [("cache-control", "no-store"), *([("retry-after", RETRY_SECONDS)] if status in {503, 504} else [])]
    return {
        "filter": filters[0] if len(filters) == 1 else {"and_filter": {"filters": filters}},
        "body_format_override": {"json_format": _body(code), "content_type": CONTENT_TYPE},
        "headers_to_add": [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in headers
        ],
    }


def _has_status(status: int) -> Mapping[str, Any]:
    # Envoy wants a key for a value that can be overridden while it runs; nothing sets it.
    value = {"default_value": status, "runtime_key": f"waybill.status.{status}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _body(code: Code) -> Mapping[str, Any]:
    """Return the body, of which Envoy fills in the rest; `%RESPONSE_CODE%` alone stays a number."""
    said = code.explained
    # What Envoy says of a token is worth knowing; what it says of its connections is not the client's.
    detail = "%LOCAL_REPLY_BODY%" if code is Code.UNAUTHENTICATED else said.meaning
    return {
        "type": f"{TYPES}{code}",
        "title": HTTPStatus(said.status).phrase,
        "status": "%RESPONSE_CODE%",
        "code": str(code),
        "detail": detail.replace("`", ""),
        "request_id": "%REQ(X-REQUEST-ID)%",
        "retryable": said.retryable,
    }
