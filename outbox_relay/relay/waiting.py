"""When the outbox is read again: at once while there is more, at a wake-up signal, else after an idle time that grows.

Waiting is the latency of every hop. A wake-up signal (waybill/runtime/wake_up.py), sent after a commit and lost without
harm, ends a wait at once. Without one the outbox is polled at a fiftieth of the time for which it has been idle: after
2 to 20 ms where no signals are set up, after 20 to 100 ms where they are, as they are rarely lost. While the rows that
are found were signalled, it is polled after 100 ms only: at a few events a second most readings would find nothing.
"""

import time
from typing import Final

from waybill.runtime.wake_up import WakeUpSignal

POLL_SECONDS: Final = 0.002  # the shortest wait: an acknowledgement takes about as long
HELD_SECONDS: Final = 0.5  # until a schema id or topic is looked for again that is missing
LONGEST_SECONDS: Final = 1.0  # the heartbeat is due by then
IDLE_SECONDS: Final = {True: (0.02, 0.1), False: (POLL_SECONDS, 0.02)}  # at first and at last, by whether signals come


class Schedule:
    """The moment of the next reading, in monotonic seconds."""

    def __init__(self, wake_up: WakeUpSignal) -> None:
        """Begin with a reading that is due."""
        self._wake_up = wake_up
        self._signalled = False  # since the last rows
        self._trusted = False  # the last rows were, or a signal has come after them
        self._busy_at = self._due_at = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Say whether the outbox is to be read now."""
        return time.monotonic() >= self._due_at

    @property
    def is_told(self) -> bool:
        """Say whether signals come for what is found."""
        return self._trusted

    def poll(self) -> None:
        """Look again as soon as what is in flight may have arrived."""
        self._due_at = time.monotonic() + POLL_SECONDS

    def hold(self) -> None:
        """Look again when what holds a row back may be over."""
        self._due_at = time.monotonic() + HELD_SECONDS

    def after(self, *, rows: bool, full: bool) -> None:
        """Choose the next reading after one that brought rows or none; a full page is followed at once."""
        now = time.monotonic()
        if rows:
            self._busy_at = now
            self._trusted, self._signalled = self._signalled, False
        first, last = IDLE_SECONDS[self._wake_up.works]
        first = last if self._trusted else first
        self._due_at = now if full else now + min(max((now - self._busy_at) / 50, first), last)

    def wait(self) -> None:
        """Block until the reading is due, a wake-up signal comes, or a second is over."""
        seconds = self._due_at - time.monotonic()
        if seconds > 0:
            self._listen(min(seconds, LONGEST_SECONDS))

    def listen(self, seconds: float = 0) -> None:
        """Take a wake-up signal that has come, or comes within so many seconds or before the reading is due."""
        self._listen(min(seconds, self._due_at - time.monotonic()))

    def _listen(self, seconds: float) -> None:
        if self._wake_up.wait(seconds):
            self._due_at = time.monotonic()
            self._signalled = self._trusted = True
