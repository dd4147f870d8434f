"""Whoever ends a run ends what it has started."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from devstack.interruption import STOPPING, raise_again


def end_tidily() -> None:
    """Make an exception of each signal that ends a program, so that everything started is stopped first.

    SIGINT too: a shell's background job ignores it, and would hand that down. SIGHUP stays ignored where it is (nohup).
    """
    for number in STOPPING:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    raise_again(KeyboardInterrupt)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let the block, which stops something, come to its end; what interrupts it is raised afterwards.

    Call it in the main thread.
    """
    told: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        told.append(number)

    before = {number: signal.signal(number, note) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if told:
        raise KeyboardInterrupt
