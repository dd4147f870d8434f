"""How a program is told to stop: SIGTERM by whoever runs it, SIGINT by a terminal."""

import os
import signal
from threading import Event
from types import FrameType


def stop_requested() -> Event:
    """Return a flag that is set once either signal has come; call it in the main thread, before the work begins."""
    stopping = Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping


def end_while_starting() -> None:
    """Let SIGTERM end a container's first process before its work begins; call it before the imports that take long.

    The kernel hands a first process no signal that it has no handler for: whoever stops it would wait for the whole
    grace period.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, _frame: os._exit(128 + number))
