"""Ctrl-C and SIGTERM, for verbs that work on a job: it ends at a place from which it is resumed."""

import signal
from collections.abc import Generator
from contextlib import contextmanager


class StopSignal:
    """Whether the operator has asked to stop; asked twice, the command ends at once."""

    def __init__(self) -> None:
        """Begin with nobody asking."""
        self.requested = False

    def __call__(self, *_: object) -> None:
        """Take the signal."""
        self.requested = True
        # A second Ctrl-C ends the command at once; the job is stopped then, and can be resumed.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def stoppable() -> Generator[StopSignal]:
    """Yield what tells whether the operator has asked to stop."""
    stop = StopSignal()
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
