"""How long a record may wait for others: not at all while the relay keeps up, a little while it catches up.

With `linger.ms=0` a record leaves at once, which is what the latency of a hop needs. But Python hands rows over no
faster than they leave, so of a backlog the broker gets requests of some 50 records, and spends twice the CPU on each
record: CPU that on a busy machine the relay lacks. A producer's linger is fixed, so another linger is another producer,
and has to be rare: a backlog must be long, and its end must have lasted.
"""

from typing import Final

BACKLOG_PAGES: Final = 10  # full ones, one after another
CAUGHT_UP_SECONDS: Final = 1.0  # without a full page; another producer a second would cost more than it gains
LINGER_MS: Final = {False: 0, True: 20}  # by whether it is catching up; 20 ms make requests of thousands of records


class Linger:
    """The linger of one relay, over all its producers."""

    def __init__(self, *, fixed: bool = False) -> None:
        """Begin as one that keeps up; a fixed one does not change."""
        self.catching_up = False
        self._fixed = fixed
        self._full_pages = 0
        self._caught_up_since: float | None = None

    @property
    def milliseconds(self) -> int:
        """Return what the next producer is given."""
        return LINGER_MS[self.catching_up]

    def read(self, now: float, *, full: bool) -> None:
        """Take note of a page that was read; `now` is monotonic, in seconds."""
        self._full_pages = self._full_pages + 1 if full else 0
        self._caught_up_since = None if full else self._caught_up_since or now

    def must_change(self, now: float) -> bool:
        """Say whether the producer should be replaced by one with the other linger."""
        if self._fixed:
            return False
        if self.catching_up:
            return self._caught_up_since is not None and now - self._caught_up_since > CAUGHT_UP_SECONDS
        return self._full_pages >= BACKLOG_PAGES

    def change(self) -> str:
        """Change to the other linger; returns why, in words."""
        self.catching_up = not self.catching_up
        self._full_pages, self._caught_up_since = 0, None
        return "catching up" if self.catching_up else "keeping up again"
