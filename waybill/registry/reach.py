"""Waiting for a part that is still starting: again and again until a deadline, then one clear line."""

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

T = TypeVar("T")


class Unreachable(Exception):
    """A broker, registry or database did not answer before the deadline."""


class NotYet(Exception):
    """The part is away or still starting, as one attempt found it."""


def until_reached(part: str, attempt: Callable[[], T], deadline_seconds: float) -> T:
    """Call `attempt`, which must be safe to repeat, until it no longer raises NotYet; blocks up to the deadline.

    Raises:
        Unreachable: The deadline passed; the message names the part and the last reason.

    """
    retrying = Retrying(
        retry=retry_if_exception_type(NotYet),
        wait=wait_exponential(multiplier=0.05, max=0.5),
        stop=stop_after_delay(deadline_seconds),
    )
    try:
        return retrying(attempt)
    except RetryError as error:
        reason = error.last_attempt.exception()
        raise Unreachable(f"{part} is not reachable after {deadline_seconds:g} s: {reason}") from None
