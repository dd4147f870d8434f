"""Which hosts a web program answers for, settled before it reads a body or takes a thread.

Whoever reaches the program by another name does so by a proxy's mistake, or in a browser whose name server was made to
lead here.
"""

from collections.abc import Iterable, Sequence

from django.http.request import split_domain_port, validate_host

from waybill.deciders.outcomes import Code
from waybill.rest.problem import Problem
from waybill.rest.serving.bodies import CLOSE

LONGEST_SHOWN = 100


def check(headers: Iterable[tuple[bytes, bytes]], allowed: Sequence[str]) -> None:
    """Raise a Problem of 400 unless there is one Host header, and of 421 where it names a host that is not allowed."""
    given = [value.decode("latin1") for name, value in headers if name == b"host"]
    if len(given) != 1:
        detail = "send one Host header, no more and no less"
        raise Problem(400, Code.MALFORMED_REQUEST, detail, headers=CLOSE)
    domain, _ = split_domain_port(given[0])
    if not domain or not validate_host(domain, list(allowed)):
        detail = f"this service does not answer for the host {given[0][:LONGEST_SHOWN]!r}"
        raise Problem(421, Code.MISDIRECTED_REQUEST, detail, headers=CLOSE)
