"""Wake-up signals between programs: an empty datagram after a commit. Lost without harm, as the receiver polls as well.

NOTIFY would take a database-wide lock at every commit; a loopback datagram costs the writer a few microseconds and the
database nothing.
"""

import atexit
import select
import socket
from contextlib import suppress
from functools import cache
from types import TracebackType
from typing import Self

import structlog

from waybill.runtime import addresses

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def send(address: str | None) -> None:
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
    try:
        family, target = addresses.resolve(*addresses.split(address), socket.SOCK_DGRAM)
    except (OSError, ValueError):
        return None
    sending = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sending.connect(target)  # the name is looked up once, and not at every commit
    except OSError:
        sending.close()
        return None
    atexit.register(sending.close)  # kept for as long as the process lives
    return sending


class WakeUpSignal:
    """Wait for signals at `host:port`, or for the time alone where no address is given or it cannot be bound."""

    def __init__(self, address: str | None) -> None:
        """Bind; an address that cannot be bound costs one warning and the sooner start of the work, not the program."""
        self._socket: socket.socket | None = None
        if address is None:
            return
        try:
            self._socket = _bound(address)
        except (OSError, ValueError, OverflowError) as error:
            log.warning(
                "wake_up_unavailable", address=address, reason=str(error), remedy="set another address, or none"
            )

    def __enter__(self) -> Self:
        """Return the socket's owner."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()

    @property
    def works(self) -> bool:
        """Say whether signals can arrive."""
        return self._socket is not None

    def wait(self, seconds: float) -> bool:
        """Block until a signal comes or the time is over; say which. Signals that came together count as one."""
        sources = [] if self._socket is None else [self._socket]
        readable, _, _ = select.select(sources, [], [], max(0.0, seconds))
        for sock in readable:
            _drain(sock)
        return bool(readable)


def _bound(address: str) -> socket.socket:
    family, target = addresses.resolve(*addresses.split(address), socket.SOCK_DGRAM)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        # A standby that takes over from a frozen leader on the same machine binds the same port, and gets the signals.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.settimeout(0)
        sock.bind(target)
    except BaseException:
        sock.close()
        raise
    return sock


def _drain(sock: socket.socket) -> None:
    try:
        while True:
            sock.recv(1)
    except OSError:
        return  # empty
