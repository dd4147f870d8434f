"""Test processes side by side (pytest-xdist): whoever ends the run lets each of them stop what it started."""

import ctypes
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from xdist.workermanage import NodeManager

STOP_SECONDS = 120  # for a stack to stop; the plugin's own patience is 10
PR_SET_PDEATHSIG = 1


def is_worker() -> bool:
    """Tell whether this is one of the processes that run tests for another."""
    return "PYTEST_XDIST_WORKER" in os.environ


def end_with_the_run() -> None:
    """Clear up once, on whichever signal comes first, and also where the process that runs the tests is killed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a terminal's Ctrl-C comes to every process, and from the run as well
    raise KeyboardInterrupt


def interrupt(nodes: Sequence[Any]) -> None:
    """Tell the workers to end, and let the plugin wait until they have."""
    NodeManager.EXIT_TIMEOUT = STOP_SECONDS
    for node in nodes:
        with suppress(ProcessLookupError, AttributeError):
            os.kill(node.gateway._io.popen.pid, signal.SIGINT)
