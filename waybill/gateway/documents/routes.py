"""Gateways and routes, as far as they are supported: `Gateway` and `HTTPRoute` of the Gateway API, v1 standard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from waybill.gateway.documents.document import Document, Refused
from waybill.gateway.documents.fields import Fields, all_of

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
MATCHED: Final = ("Exact", "RegularExpression")
MOST_WEIGHT: Final = 1_000_000


@dataclass(frozen=True)
class Named:
    """A header or a parameter of the query, and what it has to be."""

    name: str
    value: str
    is_regex: bool = False


@dataclass(frozen=True)
class Match:
    """What a request has to be for a rule to take it."""

    path: str = "/"
    path_type: str = "PathPrefix"
    method: str = ""
    headers: tuple[Named, ...] = ()
    query: tuple[Named, ...] = ()


@dataclass(frozen=True)
class Backend:
    """Where requests go, and how many parts of all that do."""

    name: str
    namespace: str
    port: int
    weight: int = 1

    @property
    def key(self) -> str:
        """Return its name in the table of addresses: `namespace/name`, or `name` where there is no namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True)
class Rule:
    """One rule of a route."""

    name: str
    matches: tuple[Match, ...]
    backends: tuple[Backend, ...]
    filters: tuple[Mapping[str, Any], ...] = ()
    request_timeout: str | None = None
    backend_timeout: str | None = None


@dataclass(frozen=True)
class Route:
    """A route: for which hosts, at which listeners, by which rules."""

    name: str
    namespace: str
    hosts: tuple[str, ...]
    parents: tuple[tuple[str, str], ...]
    """Gateway and listener; the listener is empty for all of them."""
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Listener:
    """A port of a gateway."""

    name: str
    port: int
    protocol: str
    host: str = ""
    certificate: str = ""
    """The secret with its certificate and key; empty where it speaks no TLS."""


@dataclass(frozen=True)
class Gateway:
    """A gateway: its listeners."""

    name: str
    listeners: tuple[Listener, ...]


def gateway(document: Document) -> Gateway:
    """Return what a Gateway says; raises Refused where that is not supported."""
    with all_of(_spec(document)) as spec:
        spec.text("gatewayClassName")
        spec.take("infrastructure")  # labels of the cluster's own pods
        listeners = tuple(_listener(one) for one in spec.objects("listeners"))
    return Gateway(document.name, listeners)


def route(document: Document) -> Route:
    """Return what an HTTPRoute says; raises Refused where that is not supported."""
    with all_of(_spec(document)) as spec:
        parents = tuple(_parent(one) for one in spec.objects("parentRefs"))
        hosts = spec.texts("hostnames")
        rules = tuple(_rule(number, document, one) for number, one in enumerate(spec.objects("rules")))
    if len(names := [rule.name for rule in rules]) != len(set(names)):
        raise Refused(f"{document.place}: two rules have one name")
    return Route(document.name, document.namespace, hosts, parents, rules)


def _spec(document: Document) -> Fields:
    with all_of(Fields(document.place, document.body)) as body:
        for name in ("apiVersion", "kind", "metadata"):
            body.take(name)
        body.take("status")  # as `kubectl get` prints it
        return body.object("spec")


def _listener(fields: Fields) -> Listener:
    with all_of(fields):
        protocol = fields.choice("protocol", "HTTP", "HTTPS")
        fields.take("allowedRoutes")  # namespaces are the cluster's
        certificate = ""
        if protocol == "HTTPS":
            with all_of(fields.object("tls")) as tls:
                tls.choice("mode", "Terminate", default="Terminate")
                (reference,) = tls.objects("certificateRefs") or (Fields(tls.at("certificateRefs"), {}),)
                certificate = reference.text("name")
                for name in ("kind", "group", "namespace"):
                    reference.take(name)
                reference.refuse_rest()
        port = fields.number("port", least=1, most=65535)
        if port is None:
            raise Refused(f"{fields.at('port')} is missing")
        return Listener(fields.text("name"), port, protocol, fields.text("hostname", ""), certificate)


def _parent(fields: Fields) -> tuple[str, str]:
    with all_of(fields):
        fields.choice("kind", "Gateway", default="Gateway")
        fields.take("group")
        fields.take("namespace")
        return fields.text("name"), fields.text("sectionName", "")


def _rule(number: int, document: Document, fields: Fields) -> Rule:
    with all_of(fields), all_of(fields.object("timeouts")) as timeouts:
        return Rule(
            name=fields.text("name", str(number)),
            matches=tuple(_match(one) for one in fields.objects("matches")) or (Match(),),
            backends=tuple(_backend(document, one) for one in fields.objects("backendRefs")),
            filters=tuple(_filter(one) for one in fields.objects("filters")),
            request_timeout=timeouts.duration("request"),
            backend_timeout=timeouts.duration("backendRequest"),
        )


def _match(fields: Fields) -> Match:
    with all_of(fields), all_of(fields.object("path")) as path:
        return Match(
            path=path.text("value", "/"),
            path_type=path.choice("type", "Exact", "PathPrefix", "RegularExpression", default="PathPrefix"),
            method=fields.choice("method", *METHODS) if "method" in fields else "",
            headers=tuple(_named(one) for one in fields.objects("headers")),
            query=tuple(_named(one) for one in fields.objects("queryParams")),
        )


def _named(fields: Fields) -> Named:
    with all_of(fields):
        is_regex = fields.choice("type", *MATCHED, default="Exact") == "RegularExpression"
        return Named(fields.text("name"), fields.text("value"), is_regex)


def _backend(document: Document, fields: Fields) -> Backend:
    with all_of(fields):
        fields.choice("kind", "Service", default="Service")
        fields.take("group")
        weight = fields.number("weight", 1, most=MOST_WEIGHT)
        port = fields.number("port", 80, least=1, most=65535)
        name, namespace = fields.text("name"), fields.text("namespace", document.namespace)
        return Backend(name, namespace, port or 80, 1 if weight is None else weight)


def _filter(fields: Fields) -> Mapping[str, Any]:
    """Return a filter as one entry of Envoy's route: header changes, a redirect or a rewrite."""
    kinds = {
        "RequestHeaderModifier": ("requestHeaderModifier", partial(_headers, "request")),
        "ResponseHeaderModifier": ("responseHeaderModifier", partial(_headers, "response")),
        "RequestRedirect": ("requestRedirect", _redirect),
        "URLRewrite": ("urlRewrite", _rewrite),
    }
    with all_of(fields):
        name, make = kinds[fields.choice("type", *kinds)]
        with all_of(fields.object(name)) as content:
            return make(content)


def _headers(side: str, fields: Fields) -> Mapping[str, Any]:
    return {f"{side}_headers_to_add": changes(fields), f"{side}_headers_to_remove": list(fields.texts("remove"))}


def changes(fields: Fields) -> list[dict[str, Any]]:
    """Return the headers that are set and added, as Envoy has them."""
    return [
        {"header": {"key": one.text("name"), "value": one.text("value")}, "append_action": action}
        for name, action in (("set", "OVERWRITE_IF_EXISTS_OR_ADD"), ("add", "APPEND_IF_EXISTS_OR_ADD"))
        for one in fields.objects(name)
    ]


def _redirect(fields: Fields) -> Mapping[str, Any]:
    codes = {301: "MOVED_PERMANENTLY", 302: "FOUND", 303: "SEE_OTHER", 307: "TEMPORARY_REDIRECT"}
    codes[308] = "PERMANENT_REDIRECT"
    code = fields.number("statusCode", 302)
    if code not in codes:
        raise Refused(f"{fields.at('statusCode')}: {code} is not supported; choose from {sorted(codes)}")
    result: dict[str, Any] = {"response_code": codes[code]}
    if scheme := fields.text("scheme", ""):
        result["scheme_redirect"] = scheme
    if host := fields.text("hostname", ""):
        result["host_redirect"] = host
    if port := fields.number("port", least=1, most=65535):
        result["port_redirect"] = port
    if path := _path(fields, "path_redirect"):
        result |= path
    return {"redirect": result}


def _rewrite(fields: Fields) -> Mapping[str, Any]:
    result = dict(_path(fields, "path_rewrite"))
    if host := fields.text("hostname", ""):
        result["host_rewrite_literal"] = host
    return {"route": result}


def _path(fields: Fields, whole: str) -> Mapping[str, Any]:
    if "path" not in fields:
        return {}
    with all_of(fields.object("path")) as path:
        if path.choice("type", "ReplaceFullPath", "ReplacePrefixMatch") == "ReplaceFullPath":
            text = path.text("replaceFullPath")
            return {whole: text} if whole == "path_redirect" else {"regex_rewrite": _everything(text)}
        return {"prefix_rewrite": path.text("replacePrefixMatch")}


def _everything(text: str) -> Mapping[str, Any]:
    return {"pattern": {"regex": "^/.*$"}, "substitution": text}
