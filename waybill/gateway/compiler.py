"""From documents and a site to Envoy's configuration: a pure function, and the same text for the same documents.

    Gateway, ClientTrafficPolicy            → listeners.json      ports, TLS, filters, the gateway's own answers
    HTTPRoute, weights, most of the policies → routes-NAME.json   one for each listener
    addresses, circuit breakers, health     → clusters.json

Moving a route changes weights or matches, which are in the routes alone: Envoy takes those over for the next request,
and touches no connection.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import PurePath
from typing import Any, Final

from waybill.gateway.documents import checks, routes
from waybill.gateway.documents.document import KINDS, Document, Refused
from waybill.gateway.documents.policies import attached, traffic
from waybill.gateway.documents.routes import Gateway, Listener, Route
from waybill.gateway.documents.security import Clients, clients, security
from waybill.gateway.envoy import clusters, external_auth, listeners, virtual_hosts
from waybill.gateway.envoy.listeners import Asked
from waybill.gateway.envoy.virtual_hosts import Settled
from waybill.gateway.site import Site, split

CURRENT: Final = "current"
ROUTES: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
MOST_CONNECTIONS: Final = 10_000


@dataclass(frozen=True)
class Configuration:
    """What Envoy is told: files that it watches, and the one that it is started with."""

    folder: PurePath
    admin: str
    listeners: tuple[dict[str, Any], ...]
    routes: Mapping[str, dict[str, Any]]
    clusters: tuple[dict[str, Any], ...]

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the clusters."""
        return frozenset(one["name"] for one in self.clusters)

    def with_clusters(self, more: Iterable[dict[str, Any]]) -> Configuration:
        """Return this with the clusters of another one beside its own."""
        return replace(self, clusters=(*self.clusters, *(one for one in more if one["name"] not in self.names)))

    def files(self, version: str) -> dict[str, str]:
        """Return the text of each file that Envoy watches."""
        resources: dict[str, Sequence[Any]] = {"listeners.json": self.listeners, "clusters.json": self.clusters}
        resources |= {f"routes-{name}.json": [one] for name, one in self.routes.items()}
        return {name: text({"version_info": version, "resources": list(every)}) for name, every in resources.items()}

    def bootstrap(self) -> str:
        """Return what Envoy is started with: where it finds the rest."""
        dynamic = {f"{kind}_config": watched(self.folder, name) for kind, name in WATCHED.items()}
        return text(self._bootstrap() | {"dynamic_resources": dynamic})

    def whole(self) -> str:
        """Return all of it in one file, for `envoy --mode validate`, which does not look at files that are watched."""
        # Copied by way of text, since the routes are put in.
        own: list[dict[str, Any]] = json.loads(json.dumps(self.listeners))
        for one in own:
            manager = one["filter_chains"][0]["filters"][0]["typed_config"]
            called = manager.pop("rds")["route_config_name"]
            manager["route_config"] = without_type(self.routes[called])
        static = {
            "listeners": [without_type(one) for one in own],
            "clusters": [without_type(one) for one in self.clusters],
        }
        return text(self._bootstrap() | {"static_resources": static})

    def _bootstrap(self) -> dict[str, Any]:
        host, port = split(self.admin)
        limit = "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3"
        return {
            "node": {"id": "gateway", "cluster": "gateway"},
            "admin": {"address": {"socket_address": {"address": host, "port_value": port}}},
            "overload_manager": {
                "resource_monitors": [
                    {
                        "name": "envoy.resource_monitors.global_downstream_max_connections",
                        "typed_config": {
                            "@type": f"{limit}.DownstreamConnectionsConfig",
                            "max_active_downstream_connections": MOST_CONNECTIONS,
                        },
                    }
                ]
            },
        }


WATCHED: Final = {"lds": "listeners.json", "cds": "clusters.json"}


def compiled(documents: Iterable[Document], site: Site, folder: PurePath) -> Configuration:
    """Return what Envoy is told in this folder, which it watches.

    Raises:
        Refused: a document is not supported or means nothing here; the text names the place.

    """
    every = tuple(documents)
    gateway = _only([routes.gateway(one) for one in every if one.kind == "Gateway"])
    known = sorted((routes.route(one) for one in every if one.kind == "HTTPRoute"), key=lambda route: route.name)
    settled, treated = _settled(every, gateway, known)
    opened = [one for one in gateway.listeners if one.name in site.listeners]
    if unknown := site.listeners.keys() - {one.name for one in opened}:
        raise Refused(f"the site opens the listener {min(unknown)!r}, and Gateway {gateway.name} has none of that name")
    tokens = {virtual_hosts.requirement(one.tokens): one.tokens for one in settled if one.tokens}
    asked_first = checks.distinct(one.check for one in settled if one.check)
    asked = Asked(tuple(tokens.values()), tuple(asked_first.values()))
    _refuse_ways_round(settled)
    called = {one: f"{one.name}{_version(asked, treated)}" for one in opened}
    found = [
        clusters.cluster(one.route, one.rule, backend, one.traffic, site)
        for one in settled
        for backend in one.rule.backends
    ]
    issuers = {one.uri: one for each in asked.tokens for one in each.providers if one.uri not in site.keys}
    return Configuration(
        folder=folder,
        admin=site.admin,
        listeners=tuple(listeners.listener(one, treated, asked, site, _rds(folder, called[one])) for one in opened),
        routes={called[one]: _routes(gateway, one, called[one], settled) for one in opened},
        clusters=(
            *found,
            *(external_auth.cluster(one, site) for one in asked.checks),
            *(clusters.of_keys(one) for one in issuers.values()),
        ),
    )


def _settled(every: Sequence[Document], gateway: Gateway, known: Sequence[Route]) -> tuple[list[Settled], Clients]:
    """Return each rule with its policies, and how clients are treated."""
    sections = [("HTTPRoute", route.name, rule) for route in known for rule in ("", *(one.name for one in route.rules))]
    targets = [("Gateway", gateway.name, ""), *sections]
    policies = {kind: attached(kind, every, targets) for kind in KINDS if kind.endswith("Policy")}
    settled = [
        Settled(
            route,
            rule,
            traffic(policies["BackendTrafficPolicy"].over(gateway.name, route.name, rule.name)),
            *security(policies["SecurityPolicy"].over(gateway.name, route.name, rule.name)),
        )
        for route in known
        for rule in route.rules
    ]
    return settled, clients(policies["ClientTrafficPolicy"].of_gateway(gateway.name))


def _refuse_ways_round(settled: Sequence[Settled]) -> None:
    """Raise Refused where a check's answer leads to a rule that is not checked, or takes other tokens."""
    said = {header for one in settled if one.check and one.check.recomputes for header in one.check.said}
    tokens: dict[str, Settled] = {}
    for one in settled:
        place = f"HTTPRoute {one.route.name}: the rule {one.rule.name!r}"
        own = one.check.said if one.check and one.check.recomputes else frozenset[str]()
        for header in (header.name.lower() for match in one.rule.matches for header in match.headers):
            if header in said - own:
                raise Refused(f"{place} goes by {header}, which only a check may say, and is not checked")
        if one.check and one.check.recomputes:
            other = tokens.setdefault(one.check.name, one)
            if other.tokens != one.tokens:
                raise Refused(
                    f"{place} takes other tokens than {other.rule.name!r} of {other.route.name}, and the check "
                    f"{one.check.name!r} leads from one to the other"
                )


def _version(asked: Asked, treated: Clients) -> str:
    """Return what tells routes of other checks apart: a connection keeps its filters, and must keep their routes.

    Else a request on an older connection would go by routes that lead to a check, and by filters that know none.
    """
    if not asked.checks:
        return ""
    filters = [*external_auth.filters(asked.checks), external_auth.early(asked.checks, treated.early)]
    return f"-{sha256(json.dumps(filters).encode()).hexdigest()[:8]}"


def _rds(folder: PurePath, called: str) -> dict[str, Any]:
    return {"route_config_name": called, "config_source": watched(folder, f"routes-{called}.json")}


def _routes(gateway: Gateway, listener: Listener, called: str, settled: Sequence[Settled]) -> dict[str, Any]:
    hosts: dict[str, list[Settled]] = {}
    for one in settled:
        if any(name == gateway.name and section in {"", listener.name} for name, section in one.route.parents):
            for host in one.route.hosts or (listener.host or "*",):
                if not listener.host or _within(host, listener.host):
                    hosts.setdefault(host, []).append(one)
    return {
        "@type": ROUTES,
        "name": called,
        "ignore_port_in_host_matching": True,
        "virtual_hosts": [
            {"name": f"{listener.name}/{host}", "domains": [host], "routes": virtual_hosts.routes(own)}
            for host, own in sorted(hosts.items())
        ],
    }


def _within(host: str, listener: str) -> bool:
    return host == listener or (listener.startswith("*.") and host.endswith(listener[1:]))


def _only(gateways: Sequence[Gateway]) -> Gateway:
    if len(gateways) != 1:
        raise Refused(f"expected one Gateway, found {len(gateways)}")
    return gateways[0]


def watched(folder: PurePath, name: str) -> dict[str, Any]:
    """Return where Envoy reads a kind of its configuration: again, whenever something is renamed in the folder."""
    source = {"path": str(folder / CURRENT / name), "watched_directory": {"path": str(folder)}}
    return {"resource_api_version": "V3", "path_config_source": source}


def without_type(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource as it stands where its type is known."""
    return {key: value for key, value in resource.items() if key != "@type"}


def text(content: Mapping[str, Any]) -> str:
    """Return JSON that reads well in a difference."""
    return json.dumps(content, indent=1) + "\n"
