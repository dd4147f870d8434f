"""What can come of a command or a message other than events, and the error codes that every service has.

A service has codes of its own beside these: an enum in its `domain`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from waybill.contracts.event import Event


class Code(StrEnum):
    """Name an error for programs; stable once published."""

    MALFORMED_REQUEST = "malformed_request"
    HEAD_TOO_LARGE = "head_too_large"
    MALFORMED_JSON = "malformed_json"
    NOT_VALID = "not_valid"
    BODY_TOO_LARGE = "body_too_large"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    IDEMPOTENCY_KEY_MISSING = "idempotency_key_missing"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    IDEMPOTENCY_KEY_IN_USE = "idempotency_key_in_use"
    TOO_LATE = "too_late"
    ALREADY_EXISTS = "already_exists"
    CONFLICT = "conflict"
    TIMED_OUT = "timed_out"
    OVERLOADED = "overloaded"
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    DATABASE_UNAVAILABLE = "database_unavailable"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing follows from the command, and that is right."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The command conflicts with the state; a client sees it, and an event that led to it becomes a dead letter."""

    code: StrEnum
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
