"""The listening socket, handed by a running web program to the next one on its port.

While a release replaces a program, the old one and the new one take connections from one queue, and the queue stays
open when the old one ends. With SO_REUSEPORT each has a queue of its own: what stands in the old one's when it is
closed is reset, and those clients get no answer (docs/decisions/0045-a-service-is-released-beside-its-old-code.md).

Each program answers on a Unix socket of its own, `web-PORT-PID`, so that the one that stays can hand the queue over
again after a release that was taken back. Whoever may connect to it may listen on the port: the folder must be the
user's own.
"""

import os
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

ANSWER_SECONDS: Final = 2.0  # who does not hand over within it is dead or stopped


def received(folder: Path, address: tuple[Any, ...]) -> socket.socket | None:
    """Return the socket that listens on the address, from a program that holds it; None where there is none."""
    for path in sorted(folder.glob(f"web-{address[1]}-*")):
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(ANSWER_SECONDS)
            asking.connect(str(path))
            _, descriptors, _, _ = socket.recv_fds(asking, 1, 1)
            for descriptor in descriptors:
                listener = socket.socket(fileno=descriptor)
                if listener.getsockname() == address:
                    return listener
                listener.close()
    return None


@contextmanager
def offered(listener: socket.socket, folder: Path) -> Generator[None]:
    """Give the socket to every program that asks, until the block ends."""
    path = folder / f"web-{listener.getsockname()[1]}-{os.getpid()}"
    path.unlink(missing_ok=True)  # of a program that was killed and had this number
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(str(path))
        path.chmod(0o600)
        door.listen()
        threading.Thread(target=_give, args=(door, listener), name="handover", daemon=True).start()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _give(door: socket.socket, listener: socket.socket) -> None:
    while True:
        try:
            asking, _ = door.accept()
        except OSError:
            return  # the program ends
        # A program that drains has closed its own: whoever asks gets nothing, and asks the next one.
        with asking, suppress(OSError, ValueError):
            socket.send_fds(asking, [b"\0"], [listener.fileno()])
