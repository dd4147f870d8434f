"""Who is calling: a signed bearer token becomes a Caller."""

import json
import time
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import httpx2 as httpx
import jwt
from django.http import HttpRequest
from ninja.security import HttpBearer

from waybill.deciders.outcomes import Code
from waybill.rest.problem import Problem
from waybill.runtime.http_client import HttpClient
from waybill.runtime.settings import settings

ALGORITHMS = ["EdDSA", "RS256"]
TRUSTED_SECONDS = 60  # how long a token that was verified is not verified again: that takes longer than all the rest
TOKENS = 4096
LEEWAY_SECONDS = 5  # by how much an issuer's clock may be ahead of ours, or behind
JWKS_SECONDS = 5.0  # for the whole of a fetch


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
            raise Problem(403, Code.FORBIDDEN, f"the token lacks the scope {scope!r}")


def caller_of(request: HttpRequest) -> Caller:
    """Return who is calling; the token was checked before the endpoint ran."""
    found: object = getattr(request, "auth", None)
    assert isinstance(found, Caller)
    return found


class Bearer(HttpBearer):
    """Check the Authorization header; the Caller stands in `request.auth`."""

    def __call__(self, request: HttpRequest) -> Caller:
        """Return the caller; raises a 401 that says what is wrong with the token."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthenticated("send Authorization: Bearer <token>")
        return self.authenticate(request, token.strip())

    def authenticate(self, request: HttpRequest, token: str) -> Caller:  # noqa: ARG002 - the library's signature
        """Verify signature, issuer, audience and expiry."""
        try:
            claims = _claims(token, int(time.monotonic() // TRUSTED_SECONDS))
            if int(claims["exp"]) + LEEWAY_SECONDS <= time.time():
                raise jwt.ExpiredSignatureError("Signature has expired")
        except jwt.PyJWTError as error:
            raise _unauthenticated(str(error)) from None
        return Caller(str(claims["sub"]), frozenset(str(claims.get("scope", "")).split()))


@lru_cache(TOKENS)
def _claims(token: str, _period: int) -> dict[str, Any]:
    return jwt.decode(
        token,
        _key(token),
        algorithms=ALGORITHMS,
        issuer=settings().token_issuer,
        audience=settings().token_audience,
        leeway=LEEWAY_SECONDS,
        options={"require": ["sub", "exp"]},
    )


def _key(token: str) -> Any:
    key_id = jwt.get_unverified_header(token).get("kid")
    url = settings().jwks_url
    if url:
        return _client(url).get_signing_key_from_jwt(token).key
    for key in _keys(settings().jwks_file).keys:
        if key.key_id == key_id or key_id is None:
            return key.key
    raise jwt.InvalidKeyError(f"no key with kid {key_id!r} in the JWKS")


class _Issuer(jwt.PyJWKClient):
    """The issuer's keys, fetched within a deadline for the whole of it; the library's own fetch bounds each read."""

    def __init__(self, url: str) -> None:
        super().__init__(url, cache_keys=True)
        self._http = HttpClient(JWKS_SECONDS)

    def fetch_data(self) -> Any:
        """Fetch the keys and keep them; raises PyJWKClientError where they cannot be had."""
        try:
            found = self._as_jwk_set_payload(self._http.get(self.uri).raise_for_status().json())
        except (httpx.HTTPError, ValueError) as error:
            raise jwt.PyJWKClientConnectionError(f"cannot fetch the JWKS from {self.uri}: {error!r}") from error
        self._last_successful_fetch = time.monotonic()
        return found


@cache
def _client(url: str) -> jwt.PyJWKClient:
    return _Issuer(url)


@cache
def _keys(path: str | None) -> jwt.PyJWKSet:
    if not path:
        raise jwt.InvalidKeyError("no keys to check tokens with: set WAYBILL_JWKS_FILE or WAYBILL_JWKS_URL")
    return jwt.PyJWKSet.from_dict(json.loads(Path(path).read_text()))


def _unauthenticated(detail: str) -> Problem:
    return Problem(401, Code.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": "Bearer"})
