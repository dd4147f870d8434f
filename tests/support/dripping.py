"""A server that answers a byte now and then, so that no read ever times out, for as long as a test lasts."""

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

EVERY_SECONDS = 0.05
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
HANDSHAKE = b"\x16\x03\x03\x40\x00"  # a TLS record of 16 KiB, of which the rest is long in coming
TALKS = {
    "headers": (b"HTTP/1.1 200 OK\r\n", b"x-filler: "),
    "body": (HEAD, b"{"),
    "handshake": (HANDSHAKE, b"\x02"),
    "greeting": (b"220-", b"welcome "),
}


@contextmanager
def dripping(talk: str) -> Iterator[int]:
    """Yield the port. Each caller gets the beginning of `talk` at once, and then a byte every EVERY_SECONDS."""
    over = threading.Event()
    begin, drip = TALKS[talk]

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(begin)
                for byte in itertools.cycle(drip):
                    if over.wait(EVERY_SECONDS):
                        return
                    connection.sendall(bytes([byte]))
            except OSError:
                return  # the caller has hung up, as it should

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join(10)
            for thread in threads:
                thread.join(10)
