"""Whom the gateway asks before it passes a request on: `extAuth` of a SecurityPolicy, over HTTP.

Who is asked may say in a header where the request goes (`recomputeRoute`). A client must not: what the check says in
`headersToBackend` is taken off every request before anything goes by it. And a rule that such a header leads to must
be checked itself, and ask for the same token as the rules that lead there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from waybill.gateway.documents.document import Refused
from waybill.gateway.documents.fields import Fields, all_of
from waybill.gateway.documents.policies import of_backend
from waybill.gateway.documents.routes import Backend

FORBIDDEN: Final = 403
SENT_ANYWAY: Final = frozenset({"authorization", "host"})


@dataclass(frozen=True)
class Check:
    """Who is asked, what is told, and what is taken of the answer."""

    backends: tuple[Backend, ...]
    path: str
    """Stands before the path of the request."""
    told: tuple[str, ...]
    """Headers of the request that the check sees, beside method, path, host and authorization."""
    taken: tuple[str, ...]
    """Headers of the answer that the request goes on with."""
    body_bytes: int | None
    is_open: bool
    """Whether a request passes where nobody answers."""
    recomputes: bool
    """Whether the route is chosen once more, by what the answer says."""
    status: int
    """What a client is answered where nobody answers."""
    timeout: str
    cluster: Mapping[str, Any]
    retry: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """Return what is asked and where, by which Envoy counts."""
        return self.backends[0].key + self.path

    @property
    def said(self) -> frozenset[str]:
        """Return the headers, in lower case, that the check alone may say."""
        own = {name.lower() for name in self.taken}
        return frozenset(own - {name.lower() for name in self.told} - SENT_ANYWAY)


def check(fields: Fields) -> Check:
    """Return what `extAuth` says."""
    with all_of(fields), all_of(fields.object("bodyToExtAuth")) as body, all_of(fields.object("http")) as http:
        if "http" not in fields:
            raise Refused(f"{http.place} is missing")
        cluster, retry = of_backend(http.object("backendSettings"))
        return Check(
            backends=_backends(http),
            path=http.text("path", ""),
            told=fields.texts("headersToExtAuth"),
            taken=http.texts("headersToBackend"),
            body_bytes=body.number("maxRequestBytes", least=1),
            is_open=fields.flag("failOpen"),
            recomputes=fields.flag("recomputeRoute"),
            status=fields.number("statusOnError", FORBIDDEN, least=400, most=511) or FORBIDDEN,
            timeout=fields.duration("timeout") or "10s",
            cluster=cluster,
            retry=retry,
        )


def _backends(http: Fields) -> tuple[Backend, ...]:
    given = [*http.objects("backendRefs"), *([http.object("backendRef")] if "backendRef" in http else [])]
    http.take("backendRef")
    if not given:
        raise Refused(f"{http.at('backendRefs')} is missing")
    return tuple(_backend(one) for one in given)


def _backend(fields: Fields) -> Backend:
    with all_of(fields):
        fields.choice("kind", "Service", default="Service")
        fields.take("group")
        port = fields.number("port", 80, least=1, most=65535)
        return Backend(fields.text("name"), fields.text("namespace", fields.namespace), port or 80)


def distinct(checks: Iterable[Check]) -> dict[str, Check]:
    """Return the checks by name. Raises Refused where two of one name differ."""
    found: dict[str, Check] = {}
    for one in checks:
        if found.setdefault(one.name, one) != one:
            raise Refused(f"two policies say different things of the check {one.name!r}")
    return found
