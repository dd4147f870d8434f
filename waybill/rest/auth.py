"""Who is calling: a signed bearer token becomes a Caller.

No token of any shape is an error of ours: whatever cannot be read, checked or understood is a 401 that says why.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

import jwt
import structlog
from django.http import HttpRequest
from ninja.security import HttpBearer

from waybill.deciders.outcomes import Code
from waybill.rest import keys
from waybill.rest.problem import Problem
from waybill.runtime.settings import settings

log: structlog.stdlib.BoundLogger = structlog.get_logger()
TRUSTED_SECONDS = 60  # how long a token that was verified is not verified again: that takes longer than all the rest
TOKENS: Final = 4096
LONGEST_TOKEN: Final = 8192
LONGEST_SUBJECT: Final = 255
LEEWAY_SECONDS = 5  # by how much an issuer's clock may be ahead of ours, or behind

SAID: Final[Mapping[type[Exception], str]] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidIssuerError: "the token is another issuer's",
    jwt.InvalidAudienceError: "the token is for another audience",
    jwt.MissingRequiredClaimError: "the token lacks sub or exp",
    jwt.InvalidSignatureError: "the token's signature is wrong",
    keys.KeyUnknown: "the token's key is unknown",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """The subject of a token and what it may do."""

    subject: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Tell whether the token carries the scope."""
        return scope in self.scopes

    def require(self, scope: str) -> None:
        """Raise a 403 where the scope is missing."""
        if not self.may(scope):
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
            detail = f"the token lacks the scope {scope!r}"
            raise Problem(403, Code.FORBIDDEN, detail, headers={"WWW-Authenticate": challenge})


def caller_of(request: HttpRequest) -> Caller:
    """Return who is calling; the token was checked before the endpoint ran."""
    found: object = getattr(request, "auth", None)
    assert isinstance(found, Caller)
    return found


class Bearer(HttpBearer):
    """Check the Authorization header; the Caller stands in `request.auth`, and has the scope if there is one."""

    def __init__(self, scope: str | None = None) -> None:
        super().__init__()
        self._scope = scope

    def __call__(self, request: HttpRequest) -> Caller:
        """Return the caller; raises a 401 that says what is wrong with the token, or a 403 that names the scope."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            detail = "send Authorization: Bearer <token>"
            raise Problem(401, Code.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": "Bearer"})
        caller = self.authenticate(request, token.strip())
        if self._scope is not None:
            caller.require(self._scope)
        return caller

    def authenticate(self, request: HttpRequest, token: str) -> Caller:  # noqa: ARG002 - the library's signature
        """Verify signature, issuer, audience and expiry; raises a 401, or a 503 where the issuer does not answer."""
        source = keys.source(settings())
        try:
            caller = _caller(source, token)
        except keys.KeysAway:
            detail = "the issuer of tokens does not answer, and this one's key is not known; try again"
            raise Problem(503, Code.ISSUER_UNAVAILABLE, detail, headers={"Retry-After": "5"}) from None
        except Exception as error:  # noqa: BLE001 - strangers write tokens: what goes wrong in one is theirs
            raise _invalid(error) from None
        return caller


class BearerInLoop(Bearer):
    """The same for an async endpoint: in the event loop, as it waits for nothing, where ninja would take a thread."""

    is_async = True

    async def __call__(self, request: HttpRequest) -> Caller:  # pyright: ignore[reportIncompatibleMethodOverride] - awaited by ninja's async operations
        """Return the caller; raises as `Bearer` does."""
        return super().__call__(request)


def subject_of(authorization: str) -> str | None:
    """Return whose token an Authorization header carries; None where it proves nobody. Raises nothing."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        return _caller(keys.source(settings()), token.strip()).subject
    except Exception:  # noqa: BLE001 - the endpoint answers what is wrong with it
        return None


def _caller(source: keys.KeySource, token: str) -> Caller:
    known = source.current()
    try:
        caller, expires_at = _checked(token, known, int(time.monotonic() // TRUSTED_SECONDS))
    except keys.KeyUnknown:
        source.missed()
        raise
    if expires_at + LEEWAY_SECONDS <= time.time():
        raise jwt.ExpiredSignatureError
    return caller


@lru_cache(TOKENS)
def _checked(token: str, known: keys.Keys, _period: int) -> tuple[Caller, float]:
    """Return the caller and the expiry; raises whatever PyJWT does, and ValueError."""
    if len(token) > LONGEST_TOKEN:
        raise ValueError("too long")
    key = known.find(jwt.get_unverified_header(token).get("kid"))
    claims = jwt.decode(
        token,
        key,
        algorithms=[key.algorithm_name],
        issuer=settings().token_issuer,
        audience=settings().token_audience,
        leeway=LEEWAY_SECONDS,
        options={"require": ["sub", "exp"]},
    )
    return Caller(_subject(claims["sub"]), _scopes(claims.get("scope", ""))), float(int(claims["exp"]))


def _subject(claim: Any) -> str:
    """Return who it is; an empty subject is nobody. Raises ValueError, also for what PostgreSQL takes no text of."""
    if isinstance(claim, str) and len(claim.strip()) > 0 and len(claim) <= LONGEST_SUBJECT and claim.isprintable():
        return claim
    raise ValueError("sub")


def _scopes(claim: Any) -> frozenset[str]:
    """Return the scopes of a text with spaces (RFC 9068), or of an array, as some issuers write them."""
    if isinstance(claim, str):
        return frozenset(claim.split())
    if isinstance(claim, list) and all(isinstance(word, str) for word in cast("list[Any]", claim)):
        return frozenset(cast("list[str]", claim))
    raise ValueError("scope")


def _invalid(error: Exception) -> Problem:
    said = SAID.get(type(error), "this is no token that can be checked here")
    log.info("token refused", reason=type(error).__name__)
    challenge = f'Bearer error="invalid_token", error_description="{said}"'
    return Problem(401, Code.UNAUTHENTICATED, said, headers={"WWW-Authenticate": challenge})
