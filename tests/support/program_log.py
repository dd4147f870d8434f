"""Logging as a program does, for a block: what a test sets of it ends with the test."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

import structlog

from waybill.observability.telemetry import configure_logging


@contextmanager
def program_log() -> Generator[None]:
    """Send the block's lines to stdout, as JSON; the tests' own logging is back afterwards."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []  # those that are there would be closed
    configure_logging("test")
    try:
        yield
    finally:
        structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level)
