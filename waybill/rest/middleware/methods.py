"""What every path here takes: methods, and media types in and out. Answered before an endpoint is asked.

`OFFERED` is filled by `serve_api`; a path that is not in it is for Django to find, or not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from waybill.deciders.outcomes import Code
from waybill.rest.answers import nothing
from waybill.rest.problem import Problem

JSON: Final = "application/json"
WEIGHT: Final = re.compile(r"[01](\.\d{0,3})?")


@dataclass(frozen=True, slots=True)
class Offer:
    """What one method of one path takes and gives."""

    media_types: tuple[str, ...] = (JSON,)
    takes_body: bool = False
    commands: str | None = None
    """What changes what is only read here; None where this is not to be said."""


OFFERED: dict[str, Mapping[str, Offer]] = {}
"""Django's route → method → offer."""


def refused(request: HttpRequest) -> HttpResponse | None:
    """Return the answer to a request that no endpoint needs to see, or None.

    Raises the problem where there is no such path (404), or it does not take the method (405) or the body's type (415),
    or gives nothing of what the client accepts (406).
    """
    try:
        request.resolver_match = resolve(request.path_info)  # a metric's label, also where no endpoint is asked
    except Resolver404:
        raise Problem(404, Code.NOT_FOUND, "no such path; /v1/docs lists what there is") from None
    offers = OFFERED.get(request.resolver_match.route)
    if offers is None:
        return None
    allow = _allow(offers)
    if request.method == "OPTIONS":
        response = nothing()
        response.headers["Allow"] = allow
        return response
    offer = offers.get("GET" if request.method == "HEAD" else request.method or "")
    if offer is None:
        detail = f"{request.path[:100]} does not take {str(request.method)[:20]!r}; it takes {allow}"
        detail += "".join(f". {one.commands}" for one in offers.values() if one.commands)
        raise Problem(405, Code.METHOD_NOT_ALLOWED, detail, headers={"Allow": allow})
    _refuse_types(request, offer)
    return None


def _allow(offers: Mapping[str, Offer]) -> str:
    return ", ".join(sorted({*offers, "OPTIONS", *(["HEAD"] if "GET" in offers else [])}))


def _refuse_types(request: HttpRequest, offer: Offer) -> None:
    given = request.headers.get("Content-Type", "")
    media_type = given.partition(";")[0].strip().lower()
    if offer.takes_body and media_type and media_type != JSON and not media_type.endswith("+json"):
        raise Problem(
            415, Code.UNSUPPORTED_MEDIA_TYPE, f"the body is {given[:100]!r}; send {JSON}", headers={"Accept": JSON}
        )
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if offer.takes_body and coding != "identity":
        detail = f"the body is encoded as {coding[:100]!r}; send it as it is"
        raise Problem(415, Code.UNSUPPORTED_MEDIA_TYPE, detail, headers={"Accept-Encoding": "identity"})
    accept = request.headers.get("Accept", "*/*")
    if not any(accepts(accept, one) for one in (*offer.media_types, "application/problem+json")):
        raise Problem(
            406, Code.NOT_ACCEPTABLE, f"nothing here is {accept[:100]!r}; there is {', '.join(offer.media_types)}"
        )


def accepts(header: str, media_type: str) -> bool:
    """Tell whether an Accept header takes the media type: the most specific of its ranges decides."""
    found = weights(header)
    kind = media_type.partition("/")[0]
    return next((found[name] > 0 for name in (media_type, f"{kind}/*", "*/*") if name in found), not found)


def weights(header: str) -> dict[str, float]:
    """Return each value of a header that negotiates, with its weight."""
    found: dict[str, float] = {}
    for part in header.split(","):
        name, *parameters = (one.strip().lower() for one in part.split(";"))
        weight = next((one[2:] for one in parameters if one.startswith("q=")), "1")
        if name:
            found[name] = float(weight) if WEIGHT.fullmatch(weight) else 1.0
    return found
