"""A door bell between programs: an empty datagram after a commit. Lost without harm, for who waits polls as well.

NOTIFY would take a database-wide lock at every commit; a loopback datagram costs the writer a few microseconds and the
database nothing.
"""

import select
import socket
from contextlib import suppress
from functools import cache
from types import TracebackType
from typing import Self

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def give(address: str | None) -> None:
    """Wake who listens at `host:port`, if anybody does."""
    sending = _sending(address) if address else None
    if sending is not None:
        with suppress(OSError):
            try:
                sending.send(b"")
            except ConnectionRefusedError:  # says that nobody had the one before; this one did not go out
                sending.send(b"")


@cache
def _sending(address: str) -> socket.socket | None:
    host, _, port = address.rpartition(":")
    sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sending.connect((host, int(port)))  # looks the name up once, and not at every commit
    except OSError:
        return None
    return sending


class Hints:
    """Wait for hints at `host:port`, or for the time alone where no address is given or it is taken."""

    def __init__(self, address: str | None) -> None:
        """Bind; a taken port costs one warning and the sooner start of the work, not the program."""
        self._socket: socket.socket | None = None
        if address is None:
            return
        host, _, port = address.rpartition(":")
        bell = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bell.settimeout(0)
        try:
            bell.bind((host, int(port)))
        except (OSError, ValueError, OverflowError) as error:
            bell.close()
            log.warning("no hints", address=address, reason=str(error))
            return
        self._socket = bell

    def __enter__(self) -> Self:
        """Return the bell."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()

    def wait(self, seconds: float) -> None:
        """Block until a hint comes or the time is over. Hints that came together count as one."""
        sources = [] if self._socket is None else [self._socket]
        readable, _, _ = select.select(sources, [], [], max(0.0, seconds))
        for bell in readable:
            _drain(bell)


def _drain(bell: socket.socket) -> None:
    try:
        while True:
            bell.recv(1)
    except OSError:
        return  # empty
