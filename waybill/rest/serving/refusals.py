"""What is refused before an endpoint is reached, whether by a connection or by the gateway, and how it is counted."""

from typing import Final

from waybill.deciders.outcomes import Code
from waybill.observability import metrics
from waybill.rest.problem import Problem

OVERLOADED: Final = Problem(
    503, Code.OVERLOADED, "too many requests at once; nothing was done, try again", headers={"Retry-After": "1"}
)
REASONS: Final = {
    400: "malformed",
    408: "slow",
    413: "too_large",
    414: "too_large",
    421: "misdirected",
    429: "rate_limited",
    431: "too_large",
    500: "defect",
    503: "overloaded",
}


def count(problem: Problem) -> None:
    """Count an answer of that kind."""
    metrics.inc("http_refused_total", reason=REASONS[problem.status])
