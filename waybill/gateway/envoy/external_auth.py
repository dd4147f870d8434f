"""Envoy's filter that asks somebody before a request goes on, one for each check; a route says which it wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from waybill.gateway.documents.checks import Check
from waybill.gateway.envoy import clusters
from waybill.gateway.site import Site

FILTER: Final = "envoy.filters.http.ext_authz"
TYPE: Final = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
SWITCHED_ON: Final[Mapping[str, Any]] = {
    "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
    "config": {},
}
EARLY: Final = "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"


def name(check: Check) -> str:
    """Return the name of a check's filter, and of its cluster."""
    return f"ext_authz/{check.name}"


def cluster(check: Check, site: Site) -> dict[str, Any]:
    """Return the cluster of whom a check asks."""
    addresses = tuple(address for one in check.backends for address in site.addresses(one.key))
    return clusters.protected(name(check), addresses, check.cluster)


def filters(checks: Iterable[Check]) -> Iterable[dict[str, Any]]:
    """Yield the filters; none of them does anything on a route that does not ask for it."""
    for one in checks:
        yield {"name": _filter_name(one), "disabled": True, "typed_config": _filter(one)}


def of_route(check: Check) -> dict[str, Any]:
    """Return what a route says for its requests to be checked."""
    return {_filter_name(check): SWITCHED_ON}


def early(checks: Iterable[Check], mutations: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is done to a request's headers first: nobody but a check says what a check says."""
    said = sorted({header for one in checks for header in one.said})
    every = [*mutations, *({"remove": header} for header in said)]
    if not every:
        return {}
    extension = {"@type": EARLY, "mutations": every}
    named = {"name": "envoy.http.early_header_mutation.header_mutation", "typed_config": extension}
    return {"early_header_mutation_extensions": [named]}


def _filter_name(check: Check) -> str:
    return f"{FILTER}/{check.name}"


def _filter(check: Check) -> dict[str, Any]:
    backend = check.backends[0]
    uri = f"http://{backend.name}{f'.{backend.namespace}' if backend.namespace else ''}:{backend.port}{check.path}"
    service: dict[str, Any] = {
        "server_uri": {"uri": uri, "cluster": name(check), "timeout": check.timeout},
        "path_prefix": check.path,
    }
    if check.taken:
        service["authorization_response"] = {"allowed_upstream_headers": _named(check.taken)}
    if check.retry is not None:
        service["retry_policy"] = {**check.retry, **clusters.ANOTHER_HOST}
    result: dict[str, Any] = {
        "@type": TYPE,
        "http_service": service,
        "transport_api_version": "V3",
        "failure_mode_allow": check.is_open,
        "clear_route_cache": check.recomputes,
        "status_on_error": {"code": check.status},
    }
    if check.told:
        result["allowed_headers"] = _named(check.told)
    if check.body_bytes:
        result["with_request_body"] = {"max_request_bytes": check.body_bytes}
    return result


def _named(headers: Iterable[str]) -> dict[str, Any]:
    return {"patterns": [{"exact": one, "ignore_case": True} for one in headers]}
