"""A signal that asks us to stop becomes an exception in the main thread, and none is lost."""

import signal
import sys
from types import FrameType
from typing import Any, Final

from devstack.errors import Interrupted

STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AT_ONCE: Final = 0.01  # seconds; 0 would mean never


def interruptible() -> None:
    """Turn the first signal that asks us to stop into an exception; ignore those that follow while we stop."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in STOPPING:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    for number in STOPPING:
        # Under nohup a closed terminal is none of our business.
        if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGINT:
            signal.signal(number, stop)
    raise_again(Interrupted)


def raise_again(kind: type[BaseException]) -> None:
    """Raise what a signal's handler has raised once more where Python dropped it.

    It drops what is raised in a finalizer or in the callback of a weak reference, and a signal may come in one.
    """

    def dropped(ignored: Any) -> None:
        error = ignored.exc_value
        if not isinstance(error, kind):
            sys.__unraisablehook__(ignored)
            return

        def again(_number: int, _frame: FrameType | None) -> None:
            raise error

        signal.signal(signal.SIGALRM, again)
        signal.setitimer(signal.ITIMER_REAL, AT_ONCE)

    sys.unraisablehook = dropped
