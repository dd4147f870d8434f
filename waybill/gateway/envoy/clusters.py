"""Envoy's clusters: for each rule of each route, each backend with its addresses and with what protects it."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from waybill.gateway.documents.policies import Traffic
from waybill.gateway.documents.routes import Backend, Route, Rule
from waybill.gateway.documents.security import Provider
from waybill.gateway.site import Site

CONNECT_SECONDS: Final = "10s"
BUFFER_BYTES: Final = 32 * 1024
PROTOCOL: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
RESOLVER: Final = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
# A backend may start after the gateway. Envoy's own patience with a name server that does not answer for a name that is
# not there yet is minutes, in which it would not ask again.
BY_NAME: Final[Mapping[str, Any]] = {
    "dns_lookup_family": "V4_PREFERRED",
    "dns_failure_refresh_rate": {"base_interval": "1s", "max_interval": "3s"},
    "typed_dns_resolver_config": {
        "name": "envoy.network.dns_resolver.cares",
        "typed_config": {
            "@type": f"type.googleapis.com/{RESOLVER}",
            "query_timeout_seconds": 1,
            "query_tries": 2,
        },
    },
}
AUTHORITIES: Final = "/etc/ssl/certs/ca-certificates.crt"
PREVIOUS_HOSTS: Final = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
# Of a retry policy: an attempt goes to a host that none before it went to, where there is one. Hosts are drawn, and one
# that has just failed is drawn the more often for having no requests: Envoy Gateway's 5 draws find no other of two in
# one case of six.
ANOTHER_HOST: Final[Mapping[str, Any]] = {
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type": f"type.googleapis.com/{PREVIOUS_HOSTS}"},
        }
    ],
    "host_selection_retry_max_attempts": 50,
}


def name(route: Route | str, rule: Rule | str, backend: Backend | str) -> str:
    """Return a cluster's name, under which Envoy counts what becomes of its requests: route/rule/backend."""
    parts = (
        route if isinstance(route, str) else route.name,
        rule if isinstance(rule, str) else rule.name,
        backend if isinstance(backend, str) else backend.key,
    )
    return "/".join(parts)


def cluster(route: Route, rule: Rule, backend: Backend, traffic: Traffic, site: Site) -> dict[str, Any]:
    """Return the cluster of a rule's backend. A weight is not part of it, so that shifting leaves clusters alone."""
    return protected(name(route, rule, backend), site.addresses(backend.key), traffic.cluster)


def protected(called: str, addresses: tuple[tuple[str, int], ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cluster of these addresses, with what a policy says of it."""
    settings = dict(given)
    idle = settings.pop("connection_idle_timeout", None)
    return _cluster(called, addresses) | {
        "typed_extension_protocol_options": {
            PROTOCOL: {
                "@type": f"type.googleapis.com/{PROTOCOL}",
                "explicit_http_config": {"http_protocol_options": {}},
                **({"common_http_protocol_options": {"idle_timeout": idle}} if idle else {}),
            }
        },
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        **settings,
    }


def of_keys(provider: Provider) -> dict[str, Any]:
    """Return the cluster of an issuer's keys."""
    url = urlsplit(provider.uri)
    secure = url.scheme == "https"
    host = url.hostname or ""
    found = _cluster(keys_name(provider), ((host, url.port or (443 if secure else 80)),))
    if secure:
        context = {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": host,
            "common_tls_context": {
                "validation_context": {
                    "trusted_ca": {"filename": AUTHORITIES},
                    "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host}}],
                }
            },
        }
        found["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    return found


def keys_name(provider: Provider) -> str:
    """Return the name of that cluster."""
    return f"keys/{provider.name}"


def _cluster(called: str, addresses: tuple[tuple[str, int], ...]) -> dict[str, Any]:
    is_static = all(_is_ip(host) for host, _ in addresses)
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}} for host, port in addresses
    ]
    return {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": called,
        "type": "STATIC" if is_static else "STRICT_DNS",
        **({} if is_static else BY_NAME),
        "connect_timeout": CONNECT_SECONDS,
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {"cluster_name": called, "endpoints": [{"lb_endpoints": endpoints}]},
    }


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
