"""What a move makes of the documents: pure.

Envoy takes over routes and clusters one after the other, so a route must never lead to a cluster that is not there yet.
Therefore a move has two steps, a generation each. `prepared` adds the service with the weight 0, or for a header a rule
that no request matches: that makes the cluster. `moved` changes weights or matches, which are in the routes alone. The
way back is to what was prepared, so that it takes no cluster away from under a request either.

A rule for a header is made beside the rule whose requests it takes, as NAME-canary, at the end of the route: a rule
without a name is called by its number, which must not change. The policies of the one hold for the other.
"""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from math import gcd
from typing import Any, Final

from waybill.gateway.documents.document import Document

CANARY: Final = "-canary"
NOBODY: Final = "/.waybill-gateway/not-asked-for"
ALL: Final = 100

Body = dict[str, Any]


class NotPossible(Exception):
    """The move names what there is not, or means nothing; the message says what there is."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """Which requests of a route go to which service."""

    route: str
    service: str
    """`namespace/name`, as the site's table of backends has it."""
    rule: str = ""
    """The only rule that moves; empty: all rules of the route that lead to a service."""
    weight: int | None = None
    """Percent of the requests; None where a header decides."""
    header: tuple[str, str] | None = None


def routes(documents: Iterable[Document]) -> dict[str, Document]:
    """Return the routes by name."""
    return {one.name: one for one in documents if one.kind == "HTTPRoute"}


def route_of(documents: Sequence[Document], name: str) -> Document:
    """Return a route. Raises NotPossible, which names those that there are."""
    known = routes(documents)
    if name not in known:
        raise NotPossible(f"there is no route {name!r}; known are {', '.join(sorted(known)) or 'none'}")
    return known[name]


def replaced(documents: Iterable[Document], route: Document) -> tuple[Document, ...]:
    """Return the documents with this route in the place of the one of its name."""
    return tuple(route if (one.kind, one.name) == (route.kind, route.name) else one for one in documents)


def prepared(documents: Sequence[Document], move: Move, services: Iterable[str]) -> tuple[Document, ...]:
    """Return the documents in which everything is there that the move leads to, and no request goes another way.

    Raises NotPossible.
    """
    known = sorted(services)
    if move.service not in known:
        raise NotPossible(f"there is no service {move.service!r}; known are {', '.join(known) or 'none'}")
    route = route_of(documents, move.route)
    added = list[tuple[str, str]]()

    def prepare(rules: list[Body]) -> None:
        for name, rule in _chosen(route, rules, move):
            if move.header is None:
                _with_service(route, rule, rule, move.service)
                continue
            made: Body | None = _rule_named(rules, name + CANARY)
            if made is None:
                made = {**deepcopy(rule), "name": name + CANARY, "backendRefs": []}
                made["matches"] = _nobody(route, name)
                rules.append(made)
                added.append((name, name + CANARY))
            _with_service(route, made, rule, move.service)

    changed = replaced(documents, _changed(route, prepare))
    return tuple(_with_targets(one, route.name, added) for one in changed) if added else changed


def moved(documents: Sequence[Document], move: Move) -> Document:
    """Return the route after the move, of documents that are prepared. Raises NotPossible."""
    route = route_of(documents, move.route)

    def shift(rules: list[Body]) -> None:
        for name, rule in _chosen(route, rules, move):
            if move.header is None:
                _weigh(route, name, rule, move)
                continue
            canary = _rule_named(rules, name + CANARY)
            assert canary is not None, "it is prepared"
            for reference in canary["backendRefs"]:
                reference["weight"] = int(key(route, reference) == move.service)
            wanted = {"name": move.header[0], "value": move.header[1]}
            matches: list[Body] = deepcopy(rule.get("matches") or [{}])
            canary["matches"] = [{**match, "headers": [*match.get("headers", ()), wanted]} for match in matches]

    return _changed(route, shift)


def standing(route: Document) -> list[Body]:
    """Return for each rule of a route which service gets how many percent of which requests."""
    found = list[Body]()
    for name, rule in _named(route.body["spec"].get("rules") or [{}]):
        weights = _weights(route, rule)
        total = sum(weights.values())
        if not weights:
            continue
        used, _ = _asked_for(route, rule)
        header = used[0].get("headers", [None])[-1] if name.endswith(CANARY) and used else None
        found.append(
            {
                "route": route.name,
                "rule": name,
                "services": {one: round(ALL * weight / total, 2) if total else 0 for one, weight in weights.items()},
                "header": header and f"{header['name']}={header['value']}",
                "in_use": bool(used),
            }
        )
    return found


def restored(now: Document, former: Body) -> Document:
    """Return the route with the matches and weights that it had; what it has more of stays, and gets no request."""
    rules = dict(_named(former["spec"]["rules"]))

    def restore(every: list[Body]) -> None:
        for name, rule in _named(every):
            if name in rules:
                matches: list[Body] = rules[name].get("matches") or [{}]
                rule["matches"] = deepcopy(matches)
                weights = _weights(now, rules[name])
                for one in rule.get("backendRefs") or ():
                    one["weight"] = weights.get(key(now, one), 0)
            elif name.endswith(CANARY):
                rule["matches"] = _nobody(now, name.removesuffix(CANARY))

    return _changed(now, restore)


def is_as(now: Document, former: Body) -> bool:
    """Tell whether each request goes where it went; what gets no request does not count."""
    before = dict(_named(former["spec"]["rules"]))
    after = dict(_named(now.body["spec"]["rules"]))
    return before.keys() <= after.keys() and all(
        _asked_for(now, rule) == _asked_for(now, before[name]) if name in before else not _asked_for(now, rule)[0]
        for name, rule in after.items()
    )


def _asked_for(route: Document, rule: Body) -> tuple[list[Body], dict[str, int]]:
    matches: list[Body] = rule.get("matches") or [{}]
    used: list[Body] = [one for one in matches if not str(one.get("path", {}).get("value", "")).startswith(NOBODY)]
    return used, {name: weight for name, weight in _weights(route, rule).items() if weight}


def _weights(route: Document, rule: Body) -> dict[str, int]:
    return {key(route, one): one.get("weight", 1) for one in rule.get("backendRefs") or ()}


def _nobody(route: Document, rule: str) -> list[Body]:
    return [{"path": {"type": "Exact", "value": f"{NOBODY}/{route.name}/{rule}"}}]


def key(route: Document, reference: Body) -> str:
    """Return a backend's name in the site's table."""
    namespace = reference.get("namespace", route.namespace)
    return f"{namespace}/{reference['name']}" if namespace else str(reference["name"])


def watched(route: Document, move: Move) -> tuple[list[str], list[str]]:
    """Return the clusters whose answers decide about a move, and those that they are held against."""
    candidate, others = list[str](), list[str]()
    for name, rule in _chosen(route, list(route.body["spec"]["rules"]), move):
        services = [key(route, one) for one in rule["backendRefs"]]
        others += [f"{route.name}/{name}/{one}" for one in services if one != move.service]
        candidate.append(f"{route.name}/{name}{CANARY if move.header else ''}/{move.service}")
    return candidate, others


def _changed(route: Document, change: Callable[[list[Body]], None]) -> Document:
    body = deepcopy(dict(route.body))
    change(body["spec"]["rules"])
    return replace(route, body=body)


def _named(rules: Sequence[Body]) -> list[tuple[str, Body]]:
    return [(str(rule.get("name", number)), rule) for number, rule in enumerate(rules)]


def _rule_named(rules: Sequence[Body], name: str) -> Body | None:
    return dict(_named(rules)).get(name)


def _chosen(route: Document, rules: Sequence[Body], move: Move) -> list[tuple[str, Body]]:
    every = [(name, one) for name, one in _named(rules) if one.get("backendRefs") and not name.endswith(CANARY)]
    found = [one for one in every if move.rule in {"", one[0]}]
    if not found:
        known = ", ".join(name for name, _ in every) or "none"
        raise NotPossible(f"route {route.name} has no rule {move.rule!r} that leads to a service; known are {known}")
    return found


def _with_service(route: Document, rule: Body, like: Body, service: str) -> None:
    """Let the rule have the service as well, without a request; at the port that the other rule's services have."""
    if any(key(route, one) == service for one in rule["backendRefs"]):
        return
    for one in rule["backendRefs"]:
        one.setdefault("weight", 1)
    namespace, _, name = service.rpartition("/")
    port = like["backendRefs"][0].get("port", 80)
    rule["backendRefs"].append(
        {"name": name, **({"namespace": namespace} if namespace else {}), "port": port, "weight": 0}
    )


def _with_targets(document: Document, route: str, added: Sequence[tuple[str, str]]) -> Document:
    """Let a policy of a rule hold for the rule that is made beside it."""
    if not document.kind.endswith("Policy"):
        return document
    body = deepcopy(dict(document.body))
    spec = body["spec"]
    references = spec.get("targetRefs") or [spec[name] for name in ("targetRef",) if name in spec]
    for name, canary in added:
        more = [
            {**one, "sectionName": canary}
            for one in references
            if (one["kind"], one["name"], one.get("sectionName")) == ("HTTPRoute", route, name)
        ]
        if more:
            spec.pop("targetRef", None)
            spec["targetRefs"] = references = [*references, *more]
    return replace(document, body=body)


def _weigh(route: Document, name: str, rule: Body, move: Move) -> None:
    """Give the service its percent, and the others the rest, in the proportion that they have."""
    assert move.weight is not None
    references = rule["backendRefs"]
    weights = _weights(route, rule)
    others = {one: weight for one, weight in weights.items() if one != move.service}
    if move.weight < ALL and not sum(others.values()):
        if len(others) != 1:
            known = ", ".join(others) or "none"
            raise NotPossible(
                f"rule {name} of {route.name}: {move.service} has every request, and which of the others shall have "
                f"the rest is not said (known are {known}); give the weight to that one with --to"
            )
        others = dict.fromkeys(others, 1)
    total = sum(others.values()) or 1
    parts = {one: weight * (ALL - move.weight) for one, weight in others.items()} | {move.service: move.weight * total}
    divisor = gcd(*parts.values()) or 1
    for one in references:
        one["weight"] = parts[key(route, one)] // divisor
