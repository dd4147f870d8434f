"""What can come of a command or a message other than events, and the error codes that every service has.

A service has codes of its own beside these: an enum in its `domain`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from waybill.contracts.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What a client is told of an error code: on its page, in the OpenAPI document and in every answer that has it."""

    name: str
    """As it stands in an answer. Stable once published."""
    status: int
    """Of the answer."""
    meaning: str
    """One sentence: what is wrong."""
    remedy: str
    """One sentence: what the client does about it."""
    retryable: bool = False
    """Whether the same request can succeed later, with nothing changed in it."""


class ErrorCode(StrEnum):
    """Name an error for programs; a service has an enum of its own in its `domain`, beside `Code`."""

    explained: Explained

    def __new__(cls, explained: Explained) -> Self:
        """Make the member that is equal to the code's name."""
        code = str.__new__(cls, explained.name)
        code._value_ = explained.name
        code.explained = explained
        return code


class Code(ErrorCode):
    """Name an error that any service can have, or the gateway before it."""

    MALFORMED_JSON = Explained(
        name="malformed_json",
        status=400,
        meaning="The body is not JSON.",
        remedy="Send one JSON object in UTF-8.",
    )
    NOT_VALID = Explained(
        name="not_valid",
        status=422,
        meaning="A field or a parameter breaks a rule; `errors` names each one and its rule.",
        remedy="Correct what `errors` names and send the request again.",
    )
    TOO_EXPENSIVE = Explained(
        name="too_expensive",
        status=422,
        meaning="Finding the answer takes longer than the service spends on one request.",
        remedy="Filter by more, order by the key, or leave the count out.",
    )
    MALFORMED_REQUEST = Explained(
        name="malformed_request",
        status=400,
        meaning="The request cannot be read: its path, query or headers are not well-formed.",
        remedy="Correct the request.",
    )
    MISDIRECTED_REQUEST = Explained(
        name="misdirected_request",
        status=421,
        meaning="The `Host` header names a host that this service does not answer for.",
        remedy="Send the request to the service's own name.",
    )
    TARGET_TOO_LONG = Explained(
        name="target_too_long",
        status=414,
        meaning="Path and query are longer than the service takes.",
        remedy="Ask for fewer things at once.",
    )
    HEAD_TOO_LARGE = Explained(
        name="head_too_large",
        status=431,
        meaning="The headers are larger than the service takes.",
        remedy="Send fewer or shorter headers.",
    )
    TIMED_OUT = Explained(
        name="timed_out",
        status=408,
        meaning="The request was not complete in time; nothing was done.",
        remedy="Send the same request again, over a better connection.",
        retryable=True,
    )
    BODY_TOO_LARGE = Explained(
        name="body_too_large",
        status=413,
        meaning="The body is larger than the service takes.",
        remedy="Split it into several requests.",
    )
    UNAUTHENTICATED = Explained(
        name="unauthenticated",
        status=401,
        meaning="There is no bearer token, or it proves nothing: it is malformed, expired, or signed by somebody else.",
        remedy="Get a new token from the issuer and send `Authorization: Bearer TOKEN`.",
    )
    FORBIDDEN = Explained(
        name="forbidden",
        status=403,
        meaning="The token is good and lacks a scope that the operation needs; `detail` names it.",
        remedy="Ask for a token with that scope.",
    )
    NOT_FOUND = Explained(
        name="not_found",
        status=404,
        meaning="There is nothing at this address that the caller may see.",
        remedy="Check the path and the id, and that the token is its owner's.",
    )
    METHOD_NOT_ALLOWED = Explained(
        name="method_not_allowed",
        status=405,
        meaning="The address exists and does not take this method.",
        remedy="Use one of the methods that the `Allow` header lists.",
    )
    NOT_ACCEPTABLE = Explained(
        name="not_acceptable",
        status=406,
        meaning="`Accept` names no media type that the operation can answer with.",
        remedy="Accept `application/json`, or leave the header out.",
    )
    UNSUPPORTED_MEDIA_TYPE = Explained(
        name="unsupported_media_type",
        status=415,
        meaning="The body is said to be something other than JSON.",
        remedy="Send `Content-Type: application/json`.",
    )
    PRECONDITION_FAILED = Explained(
        name="precondition_failed",
        status=412,
        meaning="The resource is not in the state that `If-Match` or `If-None-Match` asks for; nothing was changed.",
        remedy="Read the resource again, decide on what it is now, and send its new `ETag`.",
    )
    IDEMPOTENCY_KEY_MISSING = Explained(
        name="idempotency_key_missing",
        status=400,
        meaning="The operation needs an `Idempotency-Key` header, and there is none or it is malformed.",
        remedy="Send a fresh random key, such as a UUID, with each new request, and the same one with its repetitions.",
    )
    IDEMPOTENCY_KEY_REUSED = Explained(
        name="idempotency_key_reused",
        status=422,
        meaning="This `Idempotency-Key` was used with another body in the last 24 hours.",
        remedy="Take a new key for a new request.",
    )
    IDEMPOTENCY_KEY_IN_USE = Explained(
        name="idempotency_key_in_use",
        status=409,
        meaning="The first request with this `Idempotency-Key` is still running.",
        remedy="Send the same request with the same key again after `Retry-After` seconds.",
        retryable=True,
    )
    TOO_LATE = Explained(
        name="too_late",
        status=409,
        meaning="What is asked for was possible once and no longer is.",
        remedy="Read the resource to see how it ended.",
    )
    ALREADY_EXISTS = Explained(
        name="already_exists",
        status=409,
        meaning="What is to be created is there already.",
        remedy="Read it, or change it where that is meant.",
    )
    CONFLICT = Explained(
        name="conflict",
        status=409,
        meaning="The resource's state does not allow what is asked for.",
        remedy="Read the resource to see where it stands.",
    )
    RATE_LIMITED = Explained(
        name="rate_limited",
        status=429,
        meaning="The caller has made all the requests that it may make for now; nothing was done.",
        remedy="Send the same request again after `Retry-After` seconds, with the same `Idempotency-Key`; the "
        "`RateLimit` header of each answer tells how many requests are left.",
        retryable=True,
    )
    OVERLOADED = Explained(
        name="overloaded",
        status=503,
        meaning="The service has more requests than it can answer; nothing was done.",
        remedy="Send the same request again after `Retry-After` seconds, with the same `Idempotency-Key`.",
        retryable=True,
    )
    ISSUER_UNAVAILABLE = Explained(
        name="issuer_unavailable",
        status=503,
        meaning="The key that signed the token is not known here, and the issuer of keys cannot be reached.",
        remedy="Send the same request again after `Retry-After` seconds.",
        retryable=True,
    )
    DATABASE_UNAVAILABLE = Explained(
        name="database_unavailable",
        status=503,
        meaning="The service cannot reach its database; nothing was done.",
        remedy="Send the same request again after `Retry-After` seconds, with the same `Idempotency-Key`.",
        retryable=True,
    )
    BACKEND_UNAVAILABLE = Explained(
        name="backend_unavailable",
        status=503,
        meaning="The gateway reaches no service that could answer, or lost the connection to it.",
        remedy="Send the same request again after `Retry-After` seconds, with the same `Idempotency-Key`.",
        retryable=True,
    )
    BACKEND_TIMED_OUT = Explained(
        name="backend_timed_out",
        status=504,
        meaning="The service did not answer the gateway in time; what was asked for may have been done.",
        remedy="Send the same request again after `Retry-After` seconds, with the same `Idempotency-Key`.",
        retryable=True,
    )
    INTERNAL_ERROR = Explained(
        name="internal_error",
        status=500,
        meaning="An error of the service's own. A repetition with the same `Idempotency-Key` is safe.",
        remedy="Tell the service's operators the `request_id`.",
    )


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing follows from the command, and that is right."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The command conflicts with the state; a client sees it, and an event that led to it becomes a dead letter."""

    code: ErrorCode
    detail: str
    field: str | None = None


class NotFound(Refused):
    """There is nothing that the command could be about."""

    __slots__ = ()


class NotValid(Refused):
    """No state would allow the command."""

    __slots__ = ()


Decision = Sequence[Event] | Ignored | Refused


class CommandRefused(Exception):
    """Carry a refusal out of the transaction, which is rolled back."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(f"{refused.code}: {refused.detail}")
        self.refused = refused


class Unavailable(Exception):
    """The environment fails (a database, a provider, a mail server): try again, count nothing against the record."""


class OutcomeUnknown(Unavailable):
    """Asking again would tell nothing new, now or later: from now on only look up what came of it."""


class ConsumerStopped(Unavailable):
    """So many messages fail that the code is at fault, or one cannot even be kept: an operator has to act."""


class NotAttempted(Unavailable):
    """Nothing was attempted, so nothing is counted: try again after `seconds`."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


class RetryLater(Unavailable):
    """The attempt failed and is counted; the next one is due after `seconds`. `reason` is kept with the due row."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.seconds = seconds


class NeedsAttention(Exception):
    """No attempt will end this by itself: an operator has to look. It is attempted on all the same."""


class Unreadable(Exception):
    """The message itself is broken: it becomes a dead letter."""


class SchemaUnknown(Unreadable):
    """Nobody has registered the schema id here, or not yet: a dead letter that is redriven once somebody has."""

    def __init__(self, schema_id: int) -> None:
        super().__init__(
            f"schema id {schema_id} is not among the registered; handled by itself within a day of its arrival, as "
            "soon as `python -m waybill contracts register` has left the id here"
        )
        self.schema_id = schema_id
