"""How many requests each caller may make within a window of time: counted here, and known between processes.

Each request is counted in memory by the event loop, before it takes a place in the queue or a thread: the limit costs
a request no question to the database, and a refusal next to nothing. What was counted goes to the database once a
second (rate_limit_sharing.py), which tells what all processes counted. So a caller can exceed its quota by what it asks
of other processes within a second. While the database does not answer, each process goes by its own count.

A caller is the subject of its token, or, where no valid token is given, the address of its connection: of IPv6 the
network of 64 bits, since one machine has all of it. What a proxy says in headers is not believed: whoever reaches the
program can say the same.

The headers are those of draft-ietf-httpapi-ratelimit-headers. A refused request is not counted, so a client that is
told to wait for the end of its window has its full quota then. Windows of different callers end at different times.
"""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from waybill.deciders.outcomes import Code
from waybill.rest.problem import Problem

MOST_CALLERS: Final = 20_000  # some 300 bytes each; of more, those not seen for longest are forgotten
NETWORK_BITS: Final = 64
NAME: Final = "caller"


@dataclass(frozen=True, slots=True)
class Policy:
    """So many requests of one caller within so many seconds."""

    requests: int
    seconds: int

    def begin(self, caller: str, now: float) -> int:
        """Return when the caller's window began, in seconds since the epoch."""
        return int(now) - (int(now) + int(caller[:8], 16)) % self.seconds


@dataclass(frozen=True, slots=True)
class Counted:
    """Requests of one caller within one window."""

    caller: str
    window_at: int
    requests: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller stands after a request."""

    policy: Policy
    admitted: bool
    remaining: int
    reset_seconds: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return what every answer tells of the limit."""
        said = {
            "RateLimit-Policy": f'"{NAME}";q={self.policy.requests};w={self.policy.seconds}',
            "RateLimit": f'"{NAME}";r={self.remaining};t={self.reset_seconds}',
        }
        return [(name.encode(), value.encode()) for name, value in said.items()]

    def problem(self) -> Problem:
        """Return the answer to a request that is one too many."""
        quota = f"{self.policy.requests} requests in {self.policy.seconds} s"
        detail = f"the limit is {quota}; nothing was done, try again in {self.reset_seconds} s"
        return Problem(429, Code.RATE_LIMITED, detail, headers={"Retry-After": str(self.reset_seconds)})


@dataclass(slots=True)
class _Usage:
    window_at: int
    own: int = 0
    reported: int = 0
    others: int = 0


class RateLimits:
    """The callers of this process; used by the event loop alone."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._usage: OrderedDict[str, _Usage] = OrderedDict()

    def admit(self, caller: str, now: float) -> Standing:
        """Count a request, unless it is one too many."""
        usage = self._current(caller, now)
        admitted = usage.own + usage.others < self._policy.requests
        usage.own += admitted
        remaining = max(0, self._policy.requests - usage.own - usage.others)
        reset_seconds = max(1, math.ceil(usage.window_at + self._policy.seconds - now))
        return Standing(self._policy, admitted, remaining, reset_seconds)

    def unreported(self) -> list[Counted]:
        """Return what was counted and not reported yet."""
        return [
            Counted(caller, usage.window_at, usage.own - usage.reported)
            for caller, usage in self._usage.items()
            if usage.own > usage.reported
        ]

    def learn(self, reported: Iterable[Counted], totals: Iterable[Counted]) -> None:
        """Take note of what was reported, and of what all processes have counted then."""
        for one in reported:
            if (usage := self._known(one)) is not None:
                usage.reported += one.requests
        for total in totals:
            if (usage := self._known(total)) is not None:
                usage.others = max(0, total.requests - usage.reported)

    def _known(self, counted: Counted) -> _Usage | None:
        usage = self._usage.get(counted.caller)
        return usage if usage is not None and usage.window_at == counted.window_at else None

    def _current(self, caller: str, now: float) -> _Usage:
        began = self._policy.begin(caller, now)
        usage = self._usage.get(caller)
        if usage is None or usage.window_at != began:
            usage = self._usage[caller] = _Usage(began)
        self._usage.move_to_end(caller)
        if len(self._usage) > MOST_CALLERS:
            self._usage.popitem(last=False)
        return usage


def caller_key(subject: str | None, address: str) -> str:
    """Return what a caller is counted under: a digest, since subjects and addresses are personal data."""
    named = f"subject {subject}" if subject is not None else f"address {_network(address)}"
    return hashlib.blake2b(named.encode(errors="replace"), digest_size=16).hexdigest()


def _network(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address  # a socket that has none
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(int(found) >> (128 - NETWORK_BITS))
