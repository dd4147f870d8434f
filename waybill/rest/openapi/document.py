"""The OpenAPI 3.1 document: what ninja knows of parameters and bodies, completed by what every endpoint here has.

Each operation lists every status that it can answer with, each error with the codes that it stands for, and each header
in and out. What follows from a decorator or from a parameter is told by that (`operations`), so nothing is said twice.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final, cast

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from waybill.deciders.outcomes import Code, ErrorCode
from waybill.rest.openapi.operations import Facts, facts_of
from waybill.rest.problem import CONTENT_TYPE, Problem
from waybill.runtime.settings import settings

ALWAYS: Final = (
    Code.MALFORMED_REQUEST,
    Code.UNAUTHENTICATED,
    Code.NOT_ACCEPTABLE,
    Code.NOT_VALID,  # a query parameter that the operation does not know
    Code.MISDIRECTED_REQUEST,
    Code.RATE_LIMITED,
    Code.INTERNAL_ERROR,
    Code.OVERLOADED,
    Code.ISSUER_UNAVAILABLE,
    Code.DATABASE_UNAVAILABLE,
)
OF_A_BODY: Final = (Code.MALFORMED_JSON, Code.TIMED_OUT, Code.BODY_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE)
OF_A_KEY: Final = (Code.IDEMPOTENCY_KEY_MISSING, Code.IDEMPOTENCY_KEY_REUSED, Code.IDEMPOTENCY_KEY_IN_USE)
SCOPE: Final = "x-required-scope"  # `security` has scopes of OAuth 2 flows, and only the issuer knows those
SOME_ID: Final = "01a1fdef-cb60-72cc-9cdd-70bd5c187fc1"

STRING: Final = {"type": "string"}
HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "X-Request-ID": {"description": "The request's id, as in the log and in every event that follows."},
    "ETag": {"description": "The resource's state: for `If-None-Match` and `If-Match`."},
    "Location": {"description": "Where the resource is.", "schema": {"type": "string", "format": "uri-reference"}},
    "Retry-After": {
        "description": "Seconds to wait before the next request.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "RateLimit": {
        "description": "How many requests the caller has left (`r`), and the seconds until it has all again (`t`): a "
        "structured field of draft-ietf-httpapi-ratelimit-headers.",
        "example": '"caller";r=59998;t=42',
    },
    "RateLimit-Policy": {
        "description": "How many requests a caller may make (`q`) within a window of so many seconds (`w`).",
        "example": '"caller";q=60000;w=60',
    },
    "Link": {"description": "RFC 8288: `first`, `next` and `prev` page, or what replaces a deprecated operation."},
    "Idempotent-Replayed": {"description": "`true` where this is the first answer, given again."},
    "WWW-Authenticate": {"description": "What is wrong with the token (RFC 6750)."},
    "Deprecation": {"description": "RFC 9745: since when the operation is deprecated."},
    "Sunset": {"description": "RFC 8594: from when on it may be gone."},
    "Preference-Applied": {"description": "RFC 7240: the preference that was heeded."},
}
OF_EVERY_ANSWER: Final = ("X-Request-ID", "RateLimit", "RateLimit-Policy")
OF_STATUS: Final[Mapping[int, Sequence[str]]] = {
    202: ("Retry-After",),
    401: ("WWW-Authenticate",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
REQUEST_HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "Idempotency-Key": {
        "description": "Names the request: one that is repeated with it is done once, and answered as the first time. "
        "A fresh UUID for each request; kept for 24 hours.",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[ -~]+$"},
        "example": "7e5c1f6e-6f5d-4bbd-9d2e-0c5d0a5a2f11",
    },
    "If-None-Match": {
        "description": "ETag that the client has: 304 where nothing has changed. On a change: 412 where it names the "
        "state, and `*` where there is anything.",
        "schema": STRING,
        "example": '"3"',
    },
    "If-Match": {
        "description": "ETag that the change is meant for: 412 where the resource is in another state by now.",
        "schema": STRING,
        "example": '"3"',
    },
    "Prefer": {
        "description": "RFC 7240: `wait=N` holds the answer until there is nothing left to happen, N seconds at most "
        "and never longer than a minute.",
        "schema": STRING,
        "example": "wait=10",
    },
    "Last-Event-ID": {
        "description": "The id of the last event that the client has: the stream begins after it.",
        "schema": {"type": "string", "pattern": r"^\d{1,9}$"},
        "example": "2",
    },
}
PROBLEM: Final[Mapping[str, Any]] = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457). `code` is for programs and stable; new codes may appear.",
    "required": ["type", "title", "status", "code", "detail", "request_id", "retryable"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "The page on the code."},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string", "pattern": "^[a-z_]+$"},
        "detail": {"type": "string", "description": "What is wrong with this request, for people."},
        "request_id": {"type": "string"},
        "retryable": {"type": "boolean", "description": "Whether the same request can succeed later."},
        "errors": {
            "type": "array",
            "description": "Each field that is wrong.",
            "items": {"$ref": "#/components/schemas/FieldError"},
        },
    },
}
FIELD_ERROR: Final[Mapping[str, Any]] = {
    "type": "object",
    "title": "FieldError",
    "description": "A field that is wrong, as a path such as `lines[0].quantity`, and the rule that it breaks.",
    "required": ["field", "detail"],
    "properties": {"field": STRING, "detail": STRING},
}


class Api(NinjaAPI):
    """An API that describes itself completely. `codes` are the service's own, beside those that every one has."""

    def get_openapi_operation_id(self, operation: Any) -> str:
        """Return the name of the endpoint's function: one word for a client's method."""
        return operation.view_func.__name__

    def get_openapi_schema(self, *, path_prefix: str | None = None, path_params: Any = None) -> OpenAPISchema:  # noqa: ARG002 - the library's signature
        """Return the document; made once."""
        return self._document

    @cached_property
    def _document(self) -> OpenAPISchema:
        return Document(self, "")


class Document(OpenAPISchema):
    """The document, operation by operation."""

    def __init__(self, api: NinjaAPI, path_prefix: str) -> None:
        """Describe the API."""
        super().__init__(api, path_prefix)
        self["info"]["license"] = {"name": settings().api_license, "identifier": settings().api_license}
        self["info"]["contact"] = {"name": f"Whoever operates the {api.title[:1].lower()}{api.title[1:]}"}
        self["servers"] = [{"url": "/", "description": "The service that gave this document."}]
        self["tags"] = [{"name": name, "description": api.description} for name in self._tags()]
        self["components"]["schemas"] |= {"Problem": PROBLEM, "FieldError": FIELD_ERROR}
        self["components"]["headers"] = {name: {"schema": STRING, **HEADERS[name]} for name in self._headers_sent()}
        self["components"]["securitySchemes"] = {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": self._scopes(),
            }
        }

    def _operations(self) -> list[dict[str, Any]]:
        paths = cast("dict[str, dict[str, dict[str, Any]]]", self["paths"])
        return [operation for path in paths.values() for operation in path.values()]

    def _headers_sent(self) -> list[str]:
        answers = [one for operation in self._operations() for one in operation["responses"].values()]
        return sorted({name for one in answers for name in one["headers"]})

    def _tags(self) -> list[str]:
        return sorted({tag for operation in self._operations() for tag in operation.get("tags", ())})

    def _scopes(self) -> str:
        needed: dict[str, list[str]] = {}
        for operation in self._operations():
            if scope := operation.get(SCOPE):
                needed.setdefault(scope, []).append(operation["operationId"])
        lines = [f"`{scope}`: {', '.join(names)}." for scope, names in needed.items()]
        return "\n".join(["A JWT of the token issuer. Operations that name no scope take any token.", *lines])

    def operation_details(self, operation: Any) -> dict[str, Any]:
        """Return what is said of one operation."""
        details = super().operation_details(operation)
        facts = facts_of(operation.view_func)
        self.schemas.update(facts.schemas)
        if facts.deprecated:
            details["deprecated"] = True
        details["security"] = [{"bearer": []}]
        if facts.scope:
            details[SCOPE] = facts.scope
            details["description"] += f"\n\nThe token needs the scope `{facts.scope}`."
        details["parameters"] += [_parameter(name) for name in _request_headers(facts)]
        described = facts.answers or details["responses"]
        successes = {str(status): dict(said) for status, said in described.items()}
        if "If-None-Match" in facts.conditions and "If-Match" not in facts.conditions:
            successes["304"] = {"description": "Not Modified: the client has the newest."}
        for status, said in successes.items():
            said["headers"] = _headers((*facts.headers, *OF_STATUS.get(int(status), ()), *_key_headers(facts)))
            if facts.links and "content" in said:
                said["links"] = {
                    name: {"operationId": name, "parameters": dict(of)} for name, of in facts.links.items()
                }
        codes = _codes(facts, takes_body="requestBody" in details)
        details["responses"] = {**successes, **_errors(codes)}
        return details


def _request_headers(facts: Facts) -> tuple[str, ...]:
    return (*(["Idempotency-Key"] if facts.idempotent else []), *facts.conditions, *facts.takes)


def _key_headers(facts: Facts) -> tuple[str, ...]:
    return ("Idempotent-Replayed",) if facts.idempotent else ()


def _parameter(name: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "required": False, **REQUEST_HEADERS[name]}


def _headers(names: Sequence[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in dict.fromkeys((*names, *OF_EVERY_ANSWER))}


def _codes(facts: Facts, *, takes_body: bool) -> list[ErrorCode]:
    found = [*ALWAYS, *facts.codes]
    if takes_body:
        found += OF_A_BODY
    if facts.idempotent:
        found += OF_A_KEY
    return sorted(set(found), key=lambda code: (code.explained.status, code))


def _errors(codes: Sequence[ErrorCode]) -> dict[str, Any]:
    """Return status → answer, with an example of each code."""
    found: dict[str, list[ErrorCode]] = {}
    for code in codes:
        found.setdefault(str(code.explained.status), []).append(code)
    return {status: _error(int(status), of) for status, of in found.items()}


def _error(status: int, codes: Sequence[ErrorCode]) -> dict[str, Any]:
    lines = [f"- `{code}`: {code.explained.meaning} {code.explained.remedy}" for code in codes]
    examples = {str(code): {"summary": code.explained.meaning, "value": _example(code)} for code in codes}
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
    return {
        "description": "\n".join([f"{HTTPStatus(status).phrase}.", "", *lines]),
        "headers": _headers(OF_STATUS.get(status, ())),
        "content": {CONTENT_TYPE: content},
    }


def _example(code: ErrorCode) -> dict[str, Any]:
    return Problem(code.explained.status, code, code.explained.meaning).as_json(SOME_ID)
