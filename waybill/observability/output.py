"""Every line that a program writes is a JSON line: what Python itself and libraries write to stderr too.

Tracebacks of threads, warnings, errors that Python can only ignore, and the words of a SystemExit are log events of
their own. Whatever else is written to `sys.stderr` becomes an event a line. The commands (`migrate`, `rebuild`, …) keep
their stderr: people read it.
"""

import logging
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from io import TextIOBase
from types import TracebackType
from typing import Any, TextIO

import structlog

from waybill.observability.telemetry import configure_logging

log: Any = structlog.get_logger()


@contextmanager
def json_lines(program: str, level: str = "info") -> Generator[None]:
    """Write everything as JSON lines from here on; a SystemExit with a message becomes one of them, and code 1."""
    configure_logging(program, level)
    logging.captureWarnings(capture=True)
    if not isinstance(sys.stderr, _Lines):
        sys.stderr = _Lines(sys.stderr)
    sys.excepthook = _crashed
    sys.unraisablehook = _ignored
    threading.excepthook = _thread_crashed
    try:
        yield
    except SystemExit as end:
        if not isinstance(end.code, str):
            raise
        log.critical("ended", reason="; ".join(line.strip() for line in end.code.splitlines()))
        raise SystemExit(1) from None


class _Lines(TextIOBase):
    """A text stream that logs each line written to it; what asks for its descriptor gets that of the stream behind."""

    def __init__(self, behind: TextIO) -> None:
        self._behind = behind
        self._lock = threading.Lock()
        self._begun = ""

    def write(self, text: str, /) -> int:
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(str.strip, lines):
            log.warning("stderr", text=line)
        return len(text)

    def fileno(self) -> int:
        return self._behind.fileno()


def _crashed(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    log.critical("crashed", exc_info=(kind, error, traceback))


def _thread_crashed(given: threading.ExceptHookArgs, /) -> None:
    if given.exc_type is SystemExit:
        return
    name = given.thread.name if given.thread else None
    error = given.exc_value or given.exc_type()
    log.error("thread_crashed", thread=name, exc_info=(given.exc_type, error, given.exc_traceback))


def _ignored(given: "sys.UnraisableHookArgs", /) -> None:
    error = given.exc_value or given.exc_type()
    log.error("error_ignored", where=repr(given.object), exc_info=(given.exc_type, error, given.exc_traceback))
