"""Whose tokens are taken, and how clients are treated: SecurityPolicy and ClientTrafficPolicy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from waybill.gateway.documents.document import Refused
from waybill.gateway.documents.fields import Fields, all_of
from waybill.gateway.documents.policies import given

TLS_VERSIONS: Final = {"1.2": "TLSv1_2", "1.3": "TLSv1_3"}
ESCAPED: Final = {
    "KeepUnchanged": "KEEP_UNCHANGED",
    "RejectRequest": "REJECT_REQUEST",
    "UnescapeAndForward": "UNESCAPE_AND_FORWARD",
    "UnescapeAndRedirect": "UNESCAPE_AND_REDIRECT",
}
UNDERSCORES: Final = {"Allow": "ALLOW", "RejectRequest": "REJECT_REQUEST", "DropHeader": "DROP_HEADER"}


@dataclass(frozen=True)
class Provider:
    """An issuer of tokens."""

    name: str
    issuer: str
    audiences: tuple[str, ...]
    uri: str
    """Of its keys; the site may know a file that has them."""
    cached: str
    claims: tuple[tuple[str, str], ...]
    """Header that the backend is told a claim in, and the claim."""


@dataclass(frozen=True)
class Tokens:
    """Whose tokens a rule takes, and whether it takes requests without one."""

    providers: tuple[Provider, ...]
    is_optional: bool


def tokens(fields: Fields | None) -> Tokens | None:
    """Return what a SecurityPolicy says; None where nothing is asked for."""
    if fields is None or "jwt" not in fields:
        if fields is not None:
            fields.take("jwt")
            fields.refuse_rest()
        return None
    with all_of(fields), all_of(fields.object("jwt")) as jwt:
        providers = tuple(_provider(one) for one in jwt.objects("providers"))
        if not providers:
            raise Refused(f"{jwt.at('providers')} is missing")
        return Tokens(providers, jwt.flag("optional"))


def _provider(fields: Fields) -> Provider:
    with all_of(fields), all_of(fields.object("remoteJWKS")) as keys:
        claims: list[tuple[str, str]] = []
        for one in fields.objects("claimToHeaders"):
            with all_of(one):
                claims.append((one.text("header"), one.text("claim")))
        return Provider(
            name=fields.text("name"),
            issuer=fields.text("issuer"),
            audiences=fields.texts("audiences"),
            uri=keys.text("uri"),
            cached=keys.duration("cacheDuration") or "300s",
            claims=tuple(claims),
        )


@dataclass(frozen=True)
class Clients:
    """What a ClientTrafficPolicy says: parts of Envoy's connection manager and listener."""

    manager: Mapping[str, Any]
    listener: Mapping[str, Any]
    tls: Mapping[str, Any]
    protocols: tuple[str, ...]


def clients(fields: Fields | None) -> Clients:
    """Return what a ClientTrafficPolicy says; where there is none, Envoy Gateway's own defaults."""
    with (
        all_of(fields or Fields("", {})) as policy,
        all_of(policy.object("timeout")) as timeout,
        all_of(timeout.object("http")) as http,
        all_of(policy.object("connection")) as connection,
        all_of(policy.object("tls")) as tls,
        all_of(policy.object("path")) as path,
    ):
        least = TLS_VERSIONS[tls.choice("minVersion", *TLS_VERSIONS, default="1.2")]
        escaped = path.choice("escapedSlashesAction", *ESCAPED, default="UnescapeAndRedirect")
        manager = {
            "request_timeout": http.duration("requestReceivedTimeout"),
            "request_headers_timeout": http.duration("requestHeadersReceivedTimeout"),
            "stream_idle_timeout": http.duration("streamIdleTimeout"),
            "path_with_escaped_slashes_action": ESCAPED[escaped],
            "merge_slashes": not path.flag("disableMergeSlashes"),
            "xff_num_trusted_hops": _trusted_hops(policy.object("clientIPDetection")),
            **_headers(policy.object("headers"), http.duration("idleTimeout")),
        }
        listener = {"per_connection_buffer_limit_bytes": connection.bytes("bufferLimit") or 32 * 1024}
        protocols = tls.texts("alpnProtocols") or ("h2", "http/1.1")
        return Clients(given(manager), listener, {"tls_minimum_protocol_version": least}, protocols)


def _headers(fields: Fields, idle: str | None) -> Mapping[str, Any]:
    with all_of(fields):
        underscores = fields.choice("withUnderscoresAction", *UNDERSCORES, default="RejectRequest")
        preserved = fields.choice("requestID", "PreserveOrGenerate", "Generate", default="Generate")
        return {
            "generate_request_id": True,
            "preserve_external_request_id": preserved == "PreserveOrGenerate",
            "common_http_protocol_options": given(
                {
                    "headers_with_underscores_action": UNDERSCORES[underscores],
                    "idle_timeout": idle,
                }
            ),
        }


def _trusted_hops(fields: Fields) -> int | None:
    with all_of(fields), all_of(fields.object("xForwardedFor")) as forwarded:
        return forwarded.number("numTrustedHops")
