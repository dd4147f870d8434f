"""Whoever ends a run ends what it has started."""

import signal


def end_tidily() -> None:
    """Make an exception of each signal that ends a program, so that everything started is stopped on the way out.

    SIGINT too: a shell's background job ignores it, and would hand that down. SIGHUP stays ignored where it is (nohup).
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
