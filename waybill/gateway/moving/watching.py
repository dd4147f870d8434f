"""What Envoy counts of the service that a route moves to, held against the others: the limits past which it goes back.

Counters are read when the move begins and then twice a second; what is judged is what came in between. A share of
errors is judged against that of the others in the same time, so that a database that is away for all takes nothing
back. So is the time of an answer, by the 95th percentile. Where the others get no requests any more, it is what they
have shown since Envoy started.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final
from urllib.parse import quote

from waybill.gateway.site import split
from waybill.shadow.findings import Unreadable, read

ANSWER_SECONDS: Final = 2.0
FLOOR_MS: Final = 20.0  # a difference that no client feels is none
PERCENTILE: Final = 0.95
COUNTED: Final = re.compile(r"cluster\.(.+)\.upstream_rq_(completed|5xx|time): (.+)")
BUCKET: Final = re.compile(r"B([\d.]+)\((\d+),(\d+)\)")


class NotWatchable(Exception):
    """Envoy, or the shadow's file, does not tell; the message is one line."""


@dataclass(frozen=True)
class Counts:
    """What became of requests."""

    requests: int = 0
    errors: int = 0
    below_ms: Mapping[float, int] = field(default_factory=dict[float, int])
    """Upper bound of a time in milliseconds → how many answers took at most so long."""

    def since(self, begin: "Counts") -> "Counts":
        """Return what came since; all of it where Envoy was started anew in between."""
        if self.requests < begin.requests:
            return self
        below = {bound: count - begin.below_ms.get(bound, 0) for bound, count in self.below_ms.items()}
        return Counts(self.requests - begin.requests, self.errors - begin.errors, below)

    @property
    def error_ratio(self) -> float:
        """Return the share of answers with a 5xx."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def p95_ms(self) -> float | None:
        """Return the bound within which 95 of 100 answers came; None where none came."""
        total = max(self.below_ms.values(), default=0)
        return next(
            (bound for bound, count in sorted(self.below_ms.items()) if total and count >= PERCENTILE * total), None
        )


@dataclass(frozen=True)
class Limits:
    """Past which a move goes back."""

    errors: float
    """Share of 5xx beyond that of the others."""
    latency: float
    """How many times the others' 95th percentile."""
    mismatches: float
    """Share of answers in which the shadow program finds a difference."""
    least: int
    """Requests before which nothing is judged."""


@dataclass(frozen=True)
class Compared:
    """What the shadow program has compared."""

    compared: int = 0
    mismatched: int = 0


def counts(admin: str, clusters: Collection[str]) -> Counts:
    """Return what Envoy has counted of these clusters since it started. Raises NotWatchable."""
    found: dict[str, int] = {"completed": 0, "5xx": 0}
    below: dict[float, int] = {}
    for line in _stats(admin).splitlines():
        said = COUNTED.fullmatch(line)
        if said is None or said[1] not in clusters:
            continue
        if said[2] == "time":
            for bound, _, count in BUCKET.findall(said[3]):
                below[float(bound)] = below.get(float(bound), 0) + int(count)
        else:
            found[said[2]] += int(said[3])
    return Counts(found["completed"], found["5xx"], below)


def _stats(admin: str) -> str:
    host, port = split(admin)
    wanted = quote(r"^cluster\..+\.upstream_rq_(completed|5xx|time)$")
    connection = HTTPConnection(host, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", f"/stats?histogram_buckets=cumulative&filter={wanted}")
        return connection.getresponse().read().decode()
    except (OSError, HTTPException) as error:
        raise NotWatchable(f"Envoy does not answer at {admin}: {error}") from None
    finally:
        connection.close()


def compared(file: Path | None) -> Compared:
    """Return what the shadow program has compared, of all its routes. Raises NotWatchable."""
    if file is None:
        return Compared()
    try:
        routes = read(file)["routes"]
    except Unreadable as error:
        raise NotWatchable(str(error)) from None
    return Compared(sum(one["compared"] for one in routes), sum(one["mismatched"] for one in routes))


def too_bad(candidate: Counts, others: Counts, shown_before: Counts, limits: Limits) -> str | None:
    """Return which limit the service is past, in words; None where it is past none, or too few requests tell."""
    if candidate.requests < limits.least:
        return None
    held = others if others.requests >= limits.least else shown_before
    if candidate.error_ratio > others.error_ratio + limits.errors:
        return (
            f"{candidate.error_ratio:.1%} of {candidate.requests} answers are errors, of the others' "
            f"{others.error_ratio:.1%} of {others.requests}"
        )
    mine, theirs = candidate.p95_ms, held.p95_ms
    if mine is not None and theirs is not None and mine > max(theirs * limits.latency, theirs + FLOOR_MS):
        return f"95 % of answers take up to {mine:g} ms, of the others {theirs:g} ms"
    return None


def too_different(begin: Compared, now: Compared, limits: Limits) -> str | None:
    """Return that the shadow program finds too many differences, in words; None where it does not."""
    seen, wrong = now.compared - begin.compared, now.mismatched - begin.mismatched
    if seen >= limits.least and wrong / seen > limits.mismatches:
        return f"{wrong} of {seen} compared answers differ"
    return None
