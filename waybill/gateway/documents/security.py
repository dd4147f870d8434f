"""Who may come in, whose tokens are taken, and how clients are treated: SecurityPolicy and ClientTrafficPolicy."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from waybill.gateway.documents.checks import Check, check
from waybill.gateway.documents.document import Refused
from waybill.gateway.documents.fields import Fields, all_of
from waybill.gateway.documents.policies import given
from waybill.gateway.documents.routes import changes

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


def security(fields: Fields | None) -> tuple[Tokens | None, Check | None]:
    """Return what a SecurityPolicy says; None for what is not asked for."""
    if fields is None:
        return None, None
    with all_of(fields):
        jwt, asked = fields.object("jwt"), fields.object("extAuth")
        return (_tokens(jwt) if "jwt" in fields else None), (check(asked) if "extAuth" in fields else None)


def _tokens(jwt: Fields) -> Tokens:
    with all_of(jwt):
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
    early: tuple[Mapping[str, Any], ...] = ()
    """What is done to a request's headers before anything goes by them."""


def clients(fields: Fields | None) -> Clients:
    """Return what a ClientTrafficPolicy says; where there is none, Envoy Gateway's own defaults."""
    with (
        all_of(fields or Fields("", {})) as policy,
        all_of(policy.object("timeout")) as timeout,
        all_of(timeout.object("http")) as http,
        all_of(policy.object("connection")) as connection,
        all_of(policy.object("tls")) as tls,
        all_of(policy.object("path")) as path,
        all_of(policy.object("headers")) as headers,
        all_of(headers.object("earlyRequestHeaders")) as early,
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
            **_headers(headers, http.duration("idleTimeout")),
        }
        listener = {"per_connection_buffer_limit_bytes": connection.bytes("bufferLimit") or 32 * 1024}
        protocols = tls.texts("alpnProtocols") or ("h2", "http/1.1")
        least_version = {"tls_minimum_protocol_version": least}
        return Clients(given(manager), listener, least_version, protocols, tuple(_early(early)))


def _early(fields: Fields) -> Generator[Mapping[str, Any]]:
    for change in changes(fields):
        yield {"append": change}
    for name in fields.texts("remove"):
        yield {"remove": name}


def _headers(fields: Fields, idle: str | None) -> Mapping[str, Any]:
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
