"""Calls to the outside, each with one deadline for the whole of it.

A socket's time-out bounds one read. A server that sends a byte now and then lets no read time out, and holds its caller
for as long as it likes. So whoever calls says how long everything may take (`within`), and whatever may block below it,
resolving a name, connecting, the TLS handshake, each read and each write, is given what is left of that. A deadline
inside another one can only be the shorter of the two: a worker bounds an attempt, and each call in it bounds itself.
"""

import socket
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Answer = TypeVar("Answer")

_until: ContextVar[float] = ContextVar("_until", default=float("inf"))  # by time.monotonic()


@contextmanager
def within(seconds: float) -> Generator[None]:
    """Let what this thread calls in the block take so long in all; a deadline that comes sooner holds on."""
    token = _until.set(min(_until.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _until.reset(token)


def left(most: float | None = None) -> float | None:
    """Return the seconds that are left, `most` at most; None where nothing bounds the call.

    Raises:
        TimeoutError: none is left.

    """
    seconds = min(_until.get() - time.monotonic(), float("inf") if most is None else most)
    if seconds <= 0:
        raise TimeoutError("the deadline for the whole call has passed")
    return None if seconds == float("inf") else seconds


def bounded(blocking: Callable[[], Answer]) -> Answer:
    """Return what the function returns; for what takes no time-out, as a resolver.

    It runs in a thread of its own, which is left behind where the deadline comes first. Raises TimeoutError then.
    """
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(blocking())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            answer.set_exception(error)

    seconds = left()
    threading.Thread(target=run, name="bounded", daemon=True).start()
    return answer.result(seconds)


class BoundedSocket(socket.socket):
    """A plain socket, written by `sendall` and read by `makefile`, on which nothing outlasts the deadline."""

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into a buffer, as any socket; what `makefile` gives reads by it."""
        self._bound()
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all, as any socket: its time-out is for all of it."""
        self._bound()
        super().sendall(data, flags)

    def _bound(self) -> None:
        self.settimeout(left())


def addresses(host: str, port: int) -> list[tuple[Any, ...]]:
    """Resolve a name, as socket.getaddrinfo does; raises OSError, TimeoutError where the deadline comes first."""
    return list(bounded(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def connect(host: str, port: int) -> BoundedSocket:
    """Connect to the first of the host's addresses that answers.

    Raises:
        OSError: none answers; TimeoutError where the deadline has passed.

    """
    failed = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in addresses(host, port):
        connection = BoundedSocket(family, kind, protocol)
        try:
            connection.settimeout(left())
            connection.connect(address)
        except OSError as error:
            connection.close()
            failed = error
        else:
            return connection
    raise failed
