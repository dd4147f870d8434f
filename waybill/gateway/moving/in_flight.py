"""How many requests of a route are under way at its backends, as Envoy counts them.

Who hands rows over to another service first holds new writes, and then waits until this is 0. What the gateway was told
just before the hold may not be at a backend yet, so nothing is under way only where Envoy says so for a while.
"""

import re
import time
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.parse import quote

from waybill.gateway import generations
from waybill.gateway.documents.document import Refused
from waybill.gateway.envoy import program as envoy
from waybill.gateway.moving import moves
from waybill.gateway.moving.moves import NotPossible
from waybill.gateway.moving.watching import NotWatchable
from waybill.gateway.site import Site

QUIET_SECONDS: Final = 0.1
POLL_SECONDS: Final = 0.02


def in_flight(folder: Path, route: str) -> int:
    """Return how many requests of ROUTE, or of ROUTE/RULE, are under way or wait for a connection to their backend.

    `folder` is the gateway's. 0 only after nothing was under way for QUIET_SECONDS, which it blocks for. A stream
    counts for as long as it lasts: give it a rule of its own.

    Raises:
        NotPossible: there is no such route or rule.
        NotWatchable: Envoy does not answer, or runs none of the route's backends.

    """
    name, _, rule = route.partition("/")
    try:
        standing = moves.standing(moves.route_of(generations.read(folder), name))
        admin = Site.load(folder / generations.SITE).admin
    except (Refused, OSError) as error:
        raise NotPossible(str(error)) from error
    known = sorted({str(one["rule"]) for one in standing})
    if not known or rule not in {"", *known}:
        raise NotPossible(f"route {name} has no rule {rule!r} that leads to a service; known are {', '.join(known)}")
    over = time.monotonic() + QUIET_SECONDS
    while not (found := _counted(admin, f"{name}/{rule}/" if rule else f"{name}/")):
        if time.monotonic() > over:
            break
        time.sleep(POLL_SECONDS)
    return found


def _counted(admin: str, clusters: str) -> int:
    pattern = rf"^cluster\.{re.escape(clusters)}.+\.upstream_rq_(active|pending_active)$"
    try:
        found = envoy.stats(admin, quote(pattern))
    except (OSError, HTTPException) as error:
        raise NotWatchable(f"Envoy does not answer at {admin}: {error}") from None
    if not found:
        raise NotWatchable(f"Envoy runs no backend of {clusters}")
    return sum(int(value) for value in found.values())
