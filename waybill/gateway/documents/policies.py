"""Envoy Gateway's policies, as far as they are supported, and which of them holds for a rule.

The most specific policy holds, whole: one of the rule (`sectionName`) before one of its route, before the gateway's.
With `mergeType: JSONMerge` a policy of a route or rule changes what the one above says, and keeps the rest of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from waybill.gateway.documents.document import Document, Refused
from waybill.gateway.documents.fields import Fields, all_of, merged

TARGETS: Final = ("targetRefs", "targetRef", "mergeType")
UNITS: Final = {"Second": 1, "Minute": 60, "Hour": 3600, "Day": 86400}
TRIGGERS: Final = (
    *("5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "retriable-4xx"),
    *("refused-stream", "retriable-status-codes"),
)


@dataclass(frozen=True)
class Attached:
    """The policies of one kind, by what they are attached to: gateway or route, and section of it."""

    kind: str
    specs: Mapping[tuple[str, str, str], tuple[Document, Mapping[str, Any], bool]]

    def over(self, gateway: str, route: str, rule: str) -> Fields | None:
        """Return what holds for a rule; None where nothing does."""
        place, namespace, content = "", "", None
        for target in (("Gateway", gateway, ""), ("HTTPRoute", route, ""), ("HTTPRoute", route, rule)):
            if target in self.specs:
                document, spec, merges = self.specs[target]
                content = merged(content, spec) if merges and content is not None else spec
                place, namespace = f"{document.place}: spec", document.namespace
        return None if content is None else Fields(place, content, namespace)

    def of_gateway(self, gateway: str) -> Fields | None:
        """Return what holds for the gateway itself."""
        return self.over(gateway, "", "")


def attached(kind: str, documents: Iterable[Document], known: Iterable[tuple[str, str, str]]) -> Attached:
    """Return the policies of one kind. Raises Refused where one is attached to nothing, or two to the same."""
    targets = set(known)
    specs: dict[tuple[str, str, str], tuple[Document, Mapping[str, Any], bool]] = {}
    for document in documents:
        if document.kind != kind:
            continue
        given = document.body.get("spec")
        spec = Fields(f"{document.place}: spec", given)
        merges = spec.choice("mergeType", "JSONMerge", default="none") == "JSONMerge"
        own = {name: value for name, value in dict(given or {}).items() if name not in TARGETS}
        references = spec.objects("targetRefs") or ((spec.object("targetRef"),) if "targetRef" in spec else ())
        if not references:
            raise Refused(f"{spec.at('targetRefs')} is missing")
        for reference in references:
            with all_of(reference):
                reference.take("group")
                target_kind = reference.choice("kind", "Gateway", "HTTPRoute")
                target = (target_kind, reference.text("name"), reference.text("sectionName", ""))
            if target not in targets:
                raise Refused(f"{reference.place}: there is no {target_kind} {'/'.join(filter(None, target[1:]))}")
            if target in specs:
                raise Refused(f"{reference.place}: {specs[target][0].place} is attached to it already")
            specs[target] = (document, own, merges)
    return Attached(kind, specs)


@dataclass(frozen=True)
class Traffic:
    """What a BackendTrafficPolicy says of a rule: parts of Envoy's route and cluster."""

    request_timeout: str | None = None
    stream_idle_timeout: str | None = None
    most_stream_duration: str | None = None
    retry: Mapping[str, Any] | None = None
    rate_limits: tuple[RateLimit, ...] = ()
    body_bytes: int | None = None
    cluster: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class RateLimit:
    """So many requests within so many seconds: of all of them, or of each that the entries tell apart."""

    requests: int
    seconds: int
    entries: tuple[tuple[str, str | None], ...] = ()
    """Header and the value that it must have; None: a limit for each value."""
    each_address: bool = False


def traffic(fields: Fields | None) -> Traffic:
    """Return what a BackendTrafficPolicy says."""
    if fields is None:
        return Traffic()
    with (
        all_of(fields),
        all_of(fields.object("timeout")) as timeout,
        all_of(timeout.object("tcp")) as tcp,
        all_of(timeout.object("http")) as http,
        all_of(fields.object("requestBuffer")) as buffer,
    ):
        return Traffic(
            request_timeout=http.duration("requestTimeout"),
            stream_idle_timeout=http.duration("streamIdleTimeout"),
            most_stream_duration=http.duration("maxStreamDuration"),
            retry=_retry(fields.object("retry")) if "retry" in fields else None,
            rate_limits=_rate_limits(fields.object("rateLimit")) if "rateLimit" in fields else (),
            body_bytes=buffer.bytes("limit"),
            cluster=_cluster(fields, tcp, http),
        )


def _cluster(fields: Fields, tcp: Fields, http: Fields) -> Mapping[str, Any]:
    return given(
        {
            "connect_timeout": tcp.duration("connectTimeout"),
            "connection_idle_timeout": http.duration("connectionIdleTimeout"),
            **_circuit_breaker(fields.object("circuitBreaker")),
            **_health(fields.object("healthCheck")),
        }
    )


def of_backend(fields: Fields) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """Return what `backendSettings` of somebody whom Envoy itself asks say: parts of the cluster, and the retries.

    Such retries know neither a time-out of each attempt nor answers that are repeated.
    """
    with (
        all_of(fields),
        all_of(fields.object("timeout")) as timeout,
        all_of(timeout.object("tcp")) as tcp,
        all_of(timeout.object("http")) as http,
    ):
        cluster = _cluster(fields, tcp, http)
        if "retry" not in fields:
            fields.take("retry")
            return cluster, None
        with (
            all_of(fields.object("retry")) as retry,
            all_of(retry.object("retryOn")) as on,
            all_of(retry.object("perRetry")) as each,
            all_of(each.object("backOff")) as back_off,
        ):
            return cluster, given(
                {
                    "num_retries": retry.number("numRetries", 2),
                    "retry_on": ",".join(_triggers(on) or ("connect-failure", "refused-stream")),
                    "retry_back_off": _between(back_off),
                }
            )


def _triggers(on: Fields) -> tuple[str, ...]:
    triggers = on.texts("triggers")
    if wrong := set(triggers) - set(TRIGGERS):
        raise Refused(f"{on.at('triggers')}: {min(wrong)!r} is not supported; choose from {', '.join(TRIGGERS)}")
    return triggers


def _between(back_off: Fields) -> Mapping[str, Any] | None:
    between = {"base_interval": back_off.duration("baseInterval"), "max_interval": back_off.duration("maxInterval")}
    return given(between) or None


def given(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that say something."""
    return {name: value for name, value in content.items() if value is not None}


def _retry(fields: Fields) -> Mapping[str, Any]:
    with (
        all_of(fields),
        all_of(fields.object("retryOn")) as on,
        all_of(fields.object("perRetry")) as each,
        all_of(each.object("backOff")) as back_off,
    ):
        triggers = _triggers(on) or ("connect-failure", "refused-stream", "retriable-status-codes")
        codes = on.take("httpStatusCodes")
        return given(
            {
                "num_retries": fields.number("numRetries", 2),
                "retry_on": ",".join(triggers),
                "retriable_status_codes": codes or ([] if on.take("triggers") else [503]),
                "per_try_timeout": each.duration("timeout"),
                "retry_back_off": _between(back_off),
            }
        )


def _rate_limits(fields: Fields) -> tuple[RateLimit, ...]:
    with all_of(fields):
        fields.choice("type", "Local", default="Local")
        with all_of(fields.object("local")) as local:
            return tuple(_rate_limit(one) for one in local.objects("rules"))


def _rate_limit(fields: Fields) -> RateLimit:
    entries: list[tuple[str, str | None]] = []
    each_address = False
    with all_of(fields), all_of(fields.object("limit")) as limit:
        for selector in fields.objects("clientSelectors"):
            with all_of(selector):
                for header in selector.objects("headers"):
                    with all_of(header):
                        is_exact = header.choice("type", "Exact", "Distinct", default="Exact") == "Exact"
                        entries.append((header.text("name"), header.text("value") if is_exact else None))
                if "sourceCIDR" in selector:
                    with all_of(selector.object("sourceCIDR")) as source:
                        source.choice("type", "Distinct")
                        source.choice("value", "0.0.0.0/0")
                        each_address = True
        requests = limit.number("requests", least=1)
        if requests is None:
            raise Refused(f"{limit.at('requests')} is missing")
        return RateLimit(requests, UNITS[limit.choice("unit", *UNITS)], tuple(entries), each_address)


def _circuit_breaker(fields: Fields) -> Mapping[str, Any]:
    with all_of(fields), all_of(fields.object("retryBudget")) as budget:
        limits = given(
            {
                "max_connections": fields.number("maxConnections"),
                "max_pending_requests": fields.number("maxPendingRequests"),
                "max_requests": fields.number("maxParallelRequests"),
                "max_retries": fields.number("maxParallelRetries"),
            }
        )
        if "retryBudget" in fields:
            with all_of(budget.object("percent")) as percent:
                share = 100 * (percent.number("numerator", 0) or 0) / (percent.number("denominator", 100) or 100)
            least = budget.number("minRetryConcurrency", 3)
            limits["retry_budget"] = {"budget_percent": {"value": share}, "min_retry_concurrency": least}
        return {"circuit_breakers": {"thresholds": [limits]}} if limits else {}


def _health(fields: Fields) -> Mapping[str, Any]:
    with all_of(fields):
        result: dict[str, Any] = {}
        if "passive" in fields:
            result["outlier_detection"] = _passive(fields.object("passive"))
        if "active" in fields:
            result["health_checks"] = [_active(fields.object("active"))]
        if (percent := fields.number("panicThreshold", most=100)) is not None:
            result["common_lb_config"] = {"healthy_panic_threshold": {"value": percent}}
        return result


def _passive(fields: Fields) -> Mapping[str, Any]:
    with all_of(fields):
        return given(
            {
                "consecutive_5xx": fields.number("consecutive5XxErrors", 5),
                "consecutive_gateway_failure": fields.number("consecutiveGatewayErrors", 0),
                "consecutive_local_origin_failure": fields.number("consecutiveLocalOriginFailures", 5),
                "enforcing_consecutive_gateway_failure": 100 if fields.take("consecutiveGatewayErrors") else 0,
                "split_external_local_origin_errors": fields.flag("splitExternalLocalOriginErrors"),
                "interval": fields.duration("interval") or "3s",
                "base_ejection_time": fields.duration("baseEjectionTime") or "30s",
                "max_ejection_percent": fields.number("maxEjectionPercent", 10, most=100),
                "always_eject_one_host": fields.flag("alwaysEjectOneEndpoint") or None,
            }
        )


def _active(fields: Fields) -> Mapping[str, Any]:
    with all_of(fields), all_of(fields.object("http")) as http:
        fields.choice("type", "HTTP")
        return given(
            {
                "timeout": fields.duration("timeout") or "1s",
                "interval": fields.duration("interval") or "3s",
                "unhealthy_threshold": fields.number("unhealthyThreshold", 3),
                "healthy_threshold": fields.number("healthyThreshold", 1),
                "http_health_check": given({"path": http.text("path"), "host": http.text("hostname", "") or None}),
            }
        )
