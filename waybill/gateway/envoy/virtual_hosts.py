"""Envoy's routes: which request goes where, in the order that the Gateway API gives to what would match as well."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from waybill.gateway.documents.checks import Check
from waybill.gateway.documents.policies import RateLimit, Traffic, given
from waybill.gateway.documents.routes import Match, Named, Route, Rule
from waybill.gateway.documents.security import Tokens
from waybill.gateway.envoy import clusters, external_auth

JWT: Final = "envoy.filters.http.jwt_authn"
BUFFER: Final = "envoy.filters.http.buffer"
RATE_LIMIT: Final = "envoy.filters.http.local_ratelimit"
TYPES: Final = "type.googleapis.com/envoy.extensions.filters.http."
# The safe methods. PUT and DELETE are idempotent too, but what the second is answered may not be what the first was.
REPEATED: Final = "GET|HEAD|OPTIONS"
PATH_RANK: Final = {"Exact": 0, "RegularExpression": 1, "PathPrefix": 2}
ALWAYS: Final = {"default_value": {"numerator": 100}}
NO_LIMIT: Final = 2**32 - 1
DISTINCT_VALUES: Final = 10_000


@dataclass(frozen=True)
class Settled:
    """A rule with what the policies say of it."""

    route: Route
    rule: Rule
    traffic: Traffic
    tokens: Tokens | None
    check: Check | None = None


def routes(settled: Iterable[Settled]) -> list[dict[str, Any]]:
    """Return the routes of one virtual host: the most specific match first, whichever document it stands in."""
    every = [(one, match) for one in settled for match in one.rule.matches]
    return [_route(one, match) for one, match in sorted(every, key=lambda pair: _rank(*pair))]


def _rank(one: Settled, match: Match) -> tuple[Any, ...]:
    return (
        PATH_RANK[match.path_type],
        -len(match.path),
        not match.method,
        -len(match.headers),
        -len(match.query),
        one.route.name,
        one.route.rules.index(one.rule),
    )


def requirement(tokens: Tokens) -> str:
    """Return the name under which the filter of tokens knows what a rule asks for."""
    return "+".join(one.name for one in tokens.providers) + ("?" if tokens.is_optional else "")


def _route(one: Settled, match: Match) -> dict[str, Any]:
    result: dict[str, Any] = {
        "name": f"{one.route.name}/{one.rule.name}",
        "stat_prefix": one.route.name,
        "match": _match(match),
    }
    for changed in one.rule.filters:
        result |= {key: value for key, value in changed.items() if key != "route"}
    if "redirect" not in result:
        action = _action(one)
        if "direct_response" in action:
            result |= action
        else:
            rewritten = {key: value for each in one.rule.filters for key, value in each.get("route", {}).items()}
            result["route"] = {**action, **_whole(rewritten, match)}
    if per_filter := _per_filter(one):
        result["typed_per_filter_config"] = per_filter
    return result


def _whole(rewritten: Mapping[str, Any], match: Match) -> Mapping[str, Any]:
    """Return a rewrite; one that takes the whole prefix away must leave one slash and not two."""
    if rewritten.get("prefix_rewrite") != "/" or match.path == "/":
        return rewritten
    pattern = {"pattern": {"regex": f"^{re.escape(match.path)}/*"}, "substitution": "/"}
    return {key: value for key, value in rewritten.items() if key != "prefix_rewrite"} | {"regex_rewrite": pattern}


def _match(match: Match) -> dict[str, Any]:
    result: dict[str, Any] = {}
    match match.path_type:
        case "Exact":
            result["path"] = match.path
        case "RegularExpression":
            result["safe_regex"] = {"regex": match.path}
        case _ if match.path == "/":
            result["prefix"] = "/"
        case _:
            result["path_separated_prefix"] = match.path.rstrip("/")
    headers = [_named(one) for one in match.headers]
    if match.method:
        headers.insert(0, {"name": ":method", "string_match": {"exact": match.method}})
    if headers:
        result["headers"] = headers
    if match.query:
        result["query_parameters"] = [_named(one) for one in match.query]
    return result


def _named(one: Named) -> dict[str, Any]:
    value = {"safe_regex": {"regex": one.value}} if one.is_regex else {"exact": one.value}
    return {"name": one.name, "string_match": value}


def _action(one: Settled) -> dict[str, Any]:
    rule, traffic = one.rule, one.traffic
    weights = {clusters.name(one.route, rule, backend): backend.weight for backend in rule.backends}
    if not sum(weights.values()):
        return {"direct_response": {"status": 500}}  # as the Gateway API has it
    target: dict[str, Any] = {"cluster": next(iter(weights))}
    if len(weights) > 1:
        # Also those of weight 0: where a route can move to is seen in the configuration before it does.
        target = {"weighted_clusters": {"clusters": [{"name": key, "weight": value} for key, value in weights.items()]}}
    retry = dict(traffic.retry) if traffic.retry else None
    if retry:
        retry |= {"per_try_timeout": retry.get("per_try_timeout") or rule.backend_timeout}
    return target | given(
        {
            "timeout": rule.request_timeout or traffic.request_timeout or (None if retry else rule.backend_timeout),
            "idle_timeout": traffic.stream_idle_timeout,
            "max_stream_duration": traffic.most_stream_duration
            and {"max_stream_duration": traffic.most_stream_duration},
            "retry_policy": retry and _retry(given(retry)),
            "rate_limits": None,
        }
    )


def _retry(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a retry policy that repeats no request which may have changed something."""
    return {
        **policy,
        "retriable_request_headers": [{"name": ":method", "string_match": {"safe_regex": {"regex": REPEATED}}}],
        **clusters.ANOTHER_HOST,
    }


def _per_filter(one: Settled) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if one.tokens:
        asked = {"requirement_name": requirement(one.tokens)}
        result[JWT] = {"@type": f"{TYPES}jwt_authn.v3.PerRouteConfig", **asked}
    if one.traffic.rate_limits:
        result[RATE_LIMIT] = _rate_limit(one.traffic.rate_limits)
    if one.traffic.body_bytes:
        most = {"max_request_bytes": one.traffic.body_bytes}
        result[BUFFER] = {"@type": f"{TYPES}buffer.v3.BufferPerRoute", "buffer": most}
    if one.check:
        result |= external_auth.of_route(one.check)
    return result


def _rate_limit(limits: tuple[RateLimit, ...]) -> dict[str, Any]:
    every = [limit for limit in limits if not limit.entries and not limit.each_address]
    some = [limit for limit in limits if limit not in every]
    wait = str(max(limit.seconds for limit in limits))
    result: dict[str, Any] = {
        "@type": f"{TYPES}local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "rate_limit",
        "filter_enabled": ALWAYS,
        "filter_enforced": ALWAYS,
        # A bucket is filled once in the unit: at the end of one there is something in it again.
        "response_headers_to_add": [
            {"header": {"key": "retry-after", "value": wait}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
        "token_bucket": _bucket(every[0]) if every else {"max_tokens": NO_LIMIT, "fill_interval": "1s"},
    }
    if some:
        pairs = [_descriptor(number, limit) for number, limit in enumerate(some)]
        result |= {
            "always_consume_default_token_bucket": False,
            "max_dynamic_descriptors": DISTINCT_VALUES,
            "descriptors": [descriptor for descriptor, _ in pairs],
            "rate_limits": [{"actions": actions} for _, actions in pairs],
        }
    return result


def _descriptor(number: int, limit: RateLimit) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    entries: list[dict[str, str]] = []
    actions: list[dict[str, Any]] = []
    for place, (header, value) in enumerate(limit.entries):
        key = f"rule-{number}-{place}"
        if value is None:
            entries.append({"key": key})
            actions.append({"request_headers": {"header_name": header, "descriptor_key": key}})
        else:
            entries.append({"key": key, "value": "true"})
            wanted = [{"name": header, "string_match": {"exact": value}}]
            actions.append(
                {"header_value_match": {"descriptor_key": key, "descriptor_value": "true", "headers": wanted}}
            )
    if limit.each_address:
        entries.append({"key": "remote_address"})
        actions.append({"remote_address": {}})
    return {"entries": entries, "token_bucket": _bucket(limit)}, actions


def _bucket(limit: RateLimit) -> dict[str, Any]:
    return {
        "max_tokens": limit.requests,
        "tokens_per_fill": limit.requests,
        "fill_interval": f"{limit.seconds}s",
    }
