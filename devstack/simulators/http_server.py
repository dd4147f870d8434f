"""A small HTTP/1.1 server on asyncio for the provider and the mailbox: kept-alive, one handler, little CPU per call.

Enough of the protocol for the clients of this stack: bodies by Content-Length, pipelining, `Expect: 100-continue`.
A handler may hold an answer back, or hang up without one, which servers made for applications do not let it do.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import traceback
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD_BYTES = 64 * 1024
BODY_BYTES = 1024 * 1024
REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    """A whole request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass(slots=True)
class Answer:
    """An answer; `after_seconds` holds it back, `hang_up` closes the connection in its place.

    `byte_seconds` lets it go a byte at a time, so long apart.
    """

    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    after_seconds: float = 0
    hang_up: bool = False
    byte_seconds: float = 0

    def encode(self, *, keep_alive: bool) -> bytes:
        """Return the answer's bytes: text as a page, anything else as JSON."""
        is_page = isinstance(self.content, str)
        body = self.content.encode() if is_page else json.dumps(self.content, separators=(",", ":")).encode()
        lines = [
            f"HTTP/1.1 {self.status} {REASONS.get(self.status, '')}",
            f"content-type: {'text/html; charset=utf-8' if is_page else 'application/json'}",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
            *(() if keep_alive else ("connection: close",)),
        ]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    """One client's connection: requests are answered in the order they came."""

    def __init__(self, handler: Callable[[Request], Answer]) -> None:
        self.handler = handler
        self.buffer = bytearray()
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget an answer that nobody waits for any more."""
        self.transport = None
        if self.waiting:
            self.waiting.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self.buffer += data
        self.proceed()

    def proceed(self) -> None:
        """Handle what has arrived, unless an answer is being held back."""
        while self.transport and not self.waiting and self.buffer:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self.buffer) > HEAD_BYTES:
                    self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
            try:
                method, target, version, headers = parse_head(bytes(self.buffer[:end]))
                length = int(headers.get("content-length", "0"))
            except ValueError:
                self.refuse(HTTPStatus.BAD_REQUEST)
                return
            if "transfer-encoding" in headers:
                self.refuse(HTTPStatus.LENGTH_REQUIRED)
                return
            if not 0 <= length <= BODY_BYTES:
                self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                return
            if len(self.buffer) < end + 4 + length:
                if headers.get("expect", "").lower() == "100-continue":
                    self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            body = bytes(self.buffer[end + 4 : end + 4 + length])
            del self.buffer[: end + 4 + length]
            url = urlsplit(target)
            query = dict(parse_qsl(url.query)) if url.query else {}
            wants_close = headers.get("connection", "").lower() == "close" or version != "HTTP/1.1"
            self.answer(Request(method, url.path, query, headers, body), keep_alive=not wants_close)

    def answer(self, request: Request, *, keep_alive: bool) -> None:
        """Let the handler answer, now or after the time it asks for."""
        try:
            answer = self.handler(request)
        except Exception:  # noqa: BLE001 - one request's failure must not end the connection's server
            traceback.print_exc(file=sys.stderr)
            answer = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"status": "error"})
        if answer.after_seconds:
            loop = asyncio.get_running_loop()
            self.waiting = loop.call_later(answer.after_seconds, self.finish, answer, keep_alive)
        else:
            self.write(answer, keep_alive=keep_alive)

    def finish(self, answer: Answer, keep_alive: bool) -> None:
        """Give the answer that was held back."""
        self.waiting = None
        self.write(answer, keep_alive=keep_alive)
        self.proceed()

    def write(self, answer: Answer, *, keep_alive: bool) -> None:
        """Send the answer, or hang up."""
        if not self.transport:
            return
        if answer.hang_up:
            self.transport.abort()
            self.transport = None
            return
        if answer.byte_seconds:
            self.drip(answer.encode(keep_alive=False), answer.byte_seconds)
            return
        self.transport.write(answer.encode(keep_alive=keep_alive))
        if not keep_alive:
            self.transport.close()
            self.transport = None

    def drip(self, data: bytes, byte_seconds: float) -> None:
        """Send a byte, and the next ones later; close behind the last."""
        self.waiting = None
        if not self.transport:
            return
        if not data:
            self.transport.close()
            self.transport = None
            return
        self.transport.write(data[:1])
        self.waiting = asyncio.get_running_loop().call_later(byte_seconds, self.drip, data[1:], byte_seconds)

    def refuse(self, status: HTTPStatus) -> None:
        """Answer what cannot be read, and close."""
        self.write(Answer(status, {"status": status.phrase.lower()}), keep_alive=False)


def parse_head(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    """Return method, target, version and headers.

    Raises:
        ValueError: this is no HTTP request.

    """
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(line)
        headers[name.lower()] = value.strip()
    return method, target, version, headers


async def serve(host: str, port: int, handler: Callable[[Request], Answer]) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: Connection(handler), host, port, backlog=1024)
    await stop.wait()
    server.close()
