"""A program whose work stands still ends itself, so that whoever watches it starts it anew.

librdkafka waits by the wall clock: where that is set back by an hour, a wait of milliseconds lasts an hour, and no
time-out ends it. What a loop hangs in does not matter here: it gives a sign of life each time round, and a thread of
its own counts the seconds without one. It counts them by sleeping: a process that was frozen as a whole, or a machine
that was asleep, has not hung.
"""

import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, NoReturn

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger()

PATIENCE_SECONDS = 120  # longer than any statement or pause of a loop that is well
EXIT_CODE: Final = 70  # EX_SOFTWARE
REMEDY: Final = "whoever watches this program starts it anew; a clock that was set back is a known cause"


class _Loop(threading.local):
    """The loop of this thread, where it is watched."""

    sign: threading.Event | None = None


_loop = _Loop()


@contextmanager
def watched(work: str) -> Generator[None]:
    """End the process where the block's own thread gives no sign of life for PATIENCE_SECONDS."""
    sign, over = threading.Event(), threading.Event()
    _loop.sign = sign
    threading.Thread(target=_watch, args=(work, PATIENCE_SECONDS, sign, over), name="watchdog", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        _loop.sign = None


def alive() -> None:
    """Give a sign of life, whether or not the work gets anywhere; of no effect in a thread that is not watched."""
    if _loop.sign is not None:
        _loop.sign.set()


def end(reason: str, remedy: str) -> NoReturn:
    """End the process at once: something in it would not let an ordinary end come to its end."""
    log.critical("program_hangs", reason=reason, remedy=remedy)
    os._exit(EXIT_CODE)


def _watch(work: str, patience_seconds: int, sign: threading.Event, over: threading.Event) -> None:
    silent_seconds = 0
    while not over.is_set() and silent_seconds < patience_seconds:
        time.sleep(1)
        silent_seconds = 0 if sign.is_set() else silent_seconds + 1
        sign.clear()
    if not over.is_set():
        log.critical("watchdog_expired", work=work, seconds=patience_seconds, remedy=REMEDY)
        os._exit(EXIT_CODE)
