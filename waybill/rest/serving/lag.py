"""Whether the event loop keeps up with what arrives.

What waits in the kernel for a loop that is behind is in no queue that could be counted. A tick that the loop is to run
every so often tells: one that comes late waited as long as the requests did. The loop and the threads share one
interpreter lock, which the loop asks for at every event, so threads that begin one request after the other keep it
from reading, and so from refusing. They stand back while it is behind.
"""

import asyncio
from threading import Event
from typing import Final

TICK_SECONDS: Final = 0.05
LATE_SECONDS: Final = 0.1
PATIENCE_SECONDS: Final = 0.3  # a pause is no overload
STAND_BACK_SECONDS: Final = 0.25  # at most


class Lag:
    """The lag of the running loop; used by that loop, and `stand_back` by the threads."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due = self._in_time_at = self._loop.time()
        self._in_time = Event()
        self._tick()

    def lasts(self) -> bool:
        """Tell whether no tick was in time for a while."""
        return self._loop.time() - self._in_time_at > PATIENCE_SECONDS

    def stand_back(self) -> None:
        """Wait until the loop is not behind, for a moment at most; for a thread that is about to begin a request."""
        self._in_time.wait(STAND_BACK_SECONDS)

    def _tick(self) -> None:
        now = self._loop.time()
        if now - self._due < LATE_SECONDS:
            self._in_time_at = now
            self._in_time.set()
        else:
            self._in_time.clear()
        self._due = now + TICK_SECONDS
        self._loop.call_later(TICK_SECONDS, self._tick)
