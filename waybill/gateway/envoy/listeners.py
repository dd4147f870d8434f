"""Envoy's listeners: ports, TLS, and the filters that every request goes through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from waybill.gateway.documents.checks import Check
from waybill.gateway.documents.document import Refused
from waybill.gateway.documents.routes import Listener
from waybill.gateway.documents.security import Clients, Provider, Tokens
from waybill.gateway.envoy import clusters, external_auth, problems
from waybill.gateway.envoy.virtual_hosts import BUFFER, JWT, RATE_LIMIT, TYPES, requirement
from waybill.gateway.site import Site, split

MANAGER: Final = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER: Final = "envoy.filters.http.router"
KEYS_SECONDS: Final = "5s"
# One line a request: without its query, which may hold what is personal, and without headers that prove who one is.
LOGGED: Final = {
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "traceparent": "%REQ(TRACEPARENT)%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ)%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "route": "%ROUTE_NAME%",
    "backend": "%UPSTREAM_CLUSTER_RAW%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "milliseconds": "%DURATION%",
    "received_bytes": "%BYTES_RECEIVED%",
    "sent_bytes": "%BYTES_SENT%",
}


@dataclass(frozen=True)
class Asked:
    """What the routes ask for: whose tokens, and who is asked."""

    tokens: tuple[Tokens, ...]
    checks: tuple[Check, ...]


def listener(of: Listener, clients: Clients, asked: Asked, site: Site, rds: Mapping[str, Any]) -> Any:
    """Return a listener, opened where the site says; `rds` is where it gets its routes from."""
    host, port = split(site.listeners[of.name])
    chain: dict[str, Any] = {"filters": [_manager(of, clients, asked, site, rds)]}
    result: dict[str, Any] = {
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": of.name,
        "address": {"socket_address": {"address": host, "port_value": port}},
        "filter_chains": [chain],
        **clients.listener,
    }
    if of.protocol == "HTTPS":
        chain["transport_socket"] = _tls(of, clients, site)
        inspector = "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
        result["listener_filters"] = [
            {"name": "envoy.filters.listener.tls_inspector", "typed_config": {"@type": inspector}}
        ]
    return result


def _manager(of: Listener, clients: Clients, asked: Asked, site: Site, rds: Mapping[str, Any]) -> dict[str, Any]:
    log = {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
        "log_format": {"json_format": LOGGED},
    }
    manager = {
        "@type": f"type.googleapis.com/{MANAGER}",
        "stat_prefix": of.name,
        "rds": dict(rds),
        "http_filters": [*_filters(asked, site)],
        "local_reply_config": problems.local_replies(),
        "use_remote_address": True,
        "normalize_path": True,
        "always_set_request_id_in_response": True,
        "server_header_transformation": "PASS_THROUGH",
        "access_log": [{"name": "envoy.access_loggers.stdout", "typed_config": log}],
        **clients.manager,
        **external_auth.early(asked.checks, clients.early),
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def _filters(asked: Asked, site: Site) -> Iterable[dict[str, Any]]:
    """Yield the filters: who it is, how often, how much, and where to. A route says which of them it wants.

    Who is asked where a request goes is asked last: by then the body is there, so that between the answer and the
    backend no client takes its time.
    """
    if asked.tokens:
        yield {"name": JWT, "typed_config": _tokens(asked.tokens, site)}
    limit = {"@type": f"{TYPES}local_ratelimit.v3.LocalRateLimit", "stat_prefix": "rate_limit"}
    yield {"name": RATE_LIMIT, "typed_config": limit}
    buffer = {"@type": f"{TYPES}buffer.v3.Buffer", "max_request_bytes": 1}
    yield {"name": BUFFER, "disabled": True, "typed_config": buffer}
    yield from external_auth.filters(asked.checks)
    # Envoy's own headers are of its configuration, and not for a client.
    yield {"name": ROUTER, "typed_config": {"@type": f"{TYPES}router.v3.Router", "suppress_envoy_headers": True}}


def _tokens(asked: tuple[Tokens, ...], site: Site) -> dict[str, Any]:
    providers: dict[str, Provider] = {}
    for one in (provider for tokens in asked for provider in tokens.providers):
        if providers.setdefault(one.name, one) != one:
            raise Refused(f"two policies say different things of the issuer {one.name!r}")
    return {
        "@type": f"{TYPES}jwt_authn.v3.JwtAuthentication",
        "providers": {name: _provider(one, site) for name, one in sorted(providers.items())},
        "requirement_map": {requirement(tokens): _requirement(tokens) for tokens in asked},
    }


def _requirement(tokens: Tokens) -> dict[str, Any]:
    every: list[dict[str, Any]] = [{"provider_name": one.name} for one in tokens.providers]
    if tokens.is_optional:
        every.append({"allow_missing": {}})
    return every[0] if len(every) == 1 else {"requires_any": {"requirements": every}}


def _provider(one: Provider, site: Site) -> dict[str, Any]:
    result: dict[str, Any] = {"issuer": site.issuers.get(one.issuer, one.issuer), "forward": True}
    if one.audiences:
        result["audiences"] = list(one.audiences)
    if one.claims:
        result["claim_to_headers"] = [{"header_name": header, "claim_name": claim} for header, claim in one.claims]
    if one.uri in site.keys:
        result["local_jwks"] = {"filename": site.keys[one.uri]}
    else:
        uri = {"uri": one.uri, "cluster": clusters.keys_name(one), "timeout": KEYS_SECONDS}
        result["remote_jwks"] = {"http_uri": uri, "cache_duration": one.cached, "async_fetch": {"fast_listener": True}}
    return result


def _tls(of: Listener, clients: Clients, site: Site) -> dict[str, Any]:
    if of.certificate not in site.certificates:
        raise Refused(f"the listener {of.name!r} is opened here, and the site has no certificate {of.certificate!r}")
    folder = PurePath(site.certificates[of.certificate])
    pair = {
        "certificate_chain": {"filename": str(folder / "tls.crt")},
        "private_key": {"filename": str(folder / "tls.key")},
        "watched_directory": {"path": str(folder)},
    }
    context = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "tls_params": clients.tls,
            "alpn_protocols": list(clients.protocols),
            "tls_certificates": [pair],
        },
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}
