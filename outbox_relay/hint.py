"""The relay's door bell: an empty datagram after a commit. Lost without harm, for the relay polls as well.

NOTIFY would take a database-wide lock at every commit; a loopback datagram costs the writer a few microseconds and the
database nothing.
"""

import select
import socket
from types import TracebackType
from typing import Any, Self

import structlog

log: Any = structlog.get_logger()


class Hint:
    """Listen on a UDP socket, or on nothing where no address is given."""

    def __init__(self, address: str | None) -> None:
        """Bind; a taken port costs one warning, not the relay."""
        self._socket: socket.socket | None = None
        if address is None:
            return
        host, _, port = address.rpartition(":")
        bell = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # A standby that takes over from a frozen leader on the same machine binds the same port, and gets the hints.
        bell.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bell.settimeout(0)
        try:
            bell.bind((host, int(port)))
        except (OSError, ValueError, OverflowError) as error:
            bell.close()
            log.warning("relay_hears_no_hints", relay_hint=address, reason=str(error), way_out="set WAYBILL_RELAY_HINT")
            return
        self._socket = bell

    def __enter__(self) -> Self:
        """Return the bell."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()

    @property
    def works(self) -> bool:
        """Say whether hints can arrive."""
        return self._socket is not None

    def wait(self, seconds: float) -> bool:
        """Block until a hint comes or the time is over; say which. Hints that came together count as one."""
        sources = [] if self._socket is None else [self._socket]
        readable, _, _ = select.select(sources, [], [], max(0.0, seconds))
        for bell in readable:
            _drain(bell)
        return bool(readable)


def _drain(bell: socket.socket) -> None:
    try:
        while True:
            bell.recv(1)
    except OSError:
        return  # empty
