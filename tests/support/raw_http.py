"""An HTTP server that writes the very bytes it is told, and remembers the very bytes it was sent."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Reply = bytes | Callable[[socket.socket, threading.Event], None]
"""Bytes, after which the connection is kept; or what writes to the connection itself, until the event, and ends it."""


def json_answer(body: bytes, status: str = "200 OK", *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body)}", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class RawServer:
    port: int
    replies: dict[str, Reply] = field(default_factory=dict)
    """By path, without the query; `*` for any other."""
    asked: list[bytes] = field(default_factory=list)
    """Whole requests, in the sequence of their ends."""

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of(self, path: str) -> list[bytes]:
        """The requests to a path."""
        return [one for one in list(self.asked) if one.split(b" ", 2)[1].partition(b"?")[0] == path.encode()]


@contextmanager
def raw_server() -> Iterator[RawServer]:
    """Run one until the end of the block."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    server = RawServer(listener.getsockname()[1], {"*": json_answer(b"{}")})
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            try:
                while not over.is_set() and (request := _request(lines)):
                    server.asked.append(request)
                    path = request.split(b" ", 2)[1].partition(b"?")[0].decode()
                    reply = server.replies.get(path, server.replies["*"])
                    if not isinstance(reply, bytes):
                        reply(connection, over)
                        return
                    connection.sendall(reply)
            except OSError:
                return  # whoever asked has hung up

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
            connection.settimeout(20)
            threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(10)


def _request(lines) -> bytes:
    """Read one request, its body too, whether it has a length or comes in chunks; nothing where the client left."""
    whole = b""
    while line := lines.readline():
        whole += line
        if line == b"\r\n":
            break
    head = whole.lower()
    if b"transfer-encoding: chunked" in head:
        while size := lines.readline():
            part = lines.read(int(size, 16) + 2)
            whole += size + part
            if size.strip() == b"0":
                break
    elif b"content-length: " in head:
        whole += lines.read(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
    return whole


def hangs(connection: socket.socket, over: threading.Event) -> None:
    """Never answer."""
    _ = connection
    over.wait(20)


def exchanged(port: int, request: bytes, seconds: float = 10) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
    """Status line, headers with names in lower case, and body without its framing; the request ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(request)
        received = b""
        while part := connection.recv(65_536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    return status, headers, _joined(body) if (b"transfer-encoding", b"chunked") in headers else body


def _joined(chunks: bytes) -> bytes:
    body = b""
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return body
        body, chunks = body + rest[:length], rest[length + 2 :]
    raise AssertionError("the last chunk is missing")


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    """A request that is its connection's last."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: shop.test", "connection: close", *headers, "", ""]).encode()
