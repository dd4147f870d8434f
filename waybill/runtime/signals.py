"""How a program is told to stop: SIGTERM by whoever runs it, SIGINT by a terminal."""

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
