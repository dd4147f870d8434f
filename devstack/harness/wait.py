"""Wait for a condition, never for time to pass."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

T = TypeVar("T")


def wait_until(
    look: Callable[[], T],
    *,
    deadline_seconds: float,
    what: str,
    every_seconds: float = 0.05,
    seen: Sequence[Any] | None = None,
) -> T:
    """Return what `look` sees once it is truthy; fails with the last thing seen (or `seen`) at the deadline."""
    last: list[Any] = []

    def once() -> T:
        last[:] = [look()]
        return last[0]

    try:
        return Retrying(
            retry=retry_if_result(lambda found: not found),
            stop=stop_after_delay(deadline_seconds),
            wait=wait_fixed(every_seconds),
        )(once)
    except RetryError:
        raise AssertionError(f"{what}: not within {deadline_seconds} s; last seen: {seen or last}") from None
