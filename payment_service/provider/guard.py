"""A breaker for each kind of call, and a second try within one attempt.

A kind that fails again and again is not called for a while: its due rows are given back as they were, uncounted. After
that a success closes the breaker and a failure opens it again, so it repairs itself. Charges that fail leave voids and
refunds alone: their breakers are others.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal, TypeVar, get_args

from circuitbreaker import CircuitBreaker
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from payment_service.provider.port import Pending
from payment_service.settings import PaymentSettings
from waybill.deciders.outcomes import NotAttempted, OutcomeUnknown, Unavailable
from waybill.runtime.settings import read

Kind = Literal["charge", "void", "refund"]
Answer = TypeVar("Answer")
ENOUGH_SECONDS = 0.1  # the breaker counts whole seconds


@contextmanager
def guarded(kind: Kind) -> Iterator[None]:
    """Count the failures of this kind of call; raises NotAttempted while there were too many."""
    breaker = _breaker(kind)
    if breaker.opened:
        raise NotAttempted(
            f"{kind}: the provider fails, and the circuit breaker is open", max(ENOUGH_SECONDS, breaker.open_remaining)
        )
    with breaker:
        yield


def open_breakers() -> dict[str, bool]:
    """Return task → whether the breaker of its calls is open."""
    return {kind: _breaker(kind).opened for kind in get_args(Kind)}


def twice(call: Callable[[], Answer]) -> Answer:
    """Make the call, and again at once where the environment failed it; `provider_tries` times in all."""
    again = Retrying(
        retry=retry_if_exception(lambda error: _failed(type(error), error)),
        stop=stop_after_attempt(read(PaymentSettings).provider_tries),
        wait=wait_random_exponential(0.05, 1),
        reraise=True,
    )
    return again(call)


@cache
def _breaker(kind: Kind) -> CircuitBreaker:
    settings = read(PaymentSettings)
    return CircuitBreaker(
        failure_threshold=settings.provider_breaker_failures,
        recovery_timeout=settings.provider_breaker_seconds,
        expected_exception=_failed,
        name=kind,
    )


def _failed(kind: type[BaseException], _: BaseException) -> bool:
    """Tell whether the provider failed: an answer that settles nothing is an answer all the same."""
    return issubclass(kind, Unavailable) and not issubclass(kind, OutcomeUnknown | Pending)
