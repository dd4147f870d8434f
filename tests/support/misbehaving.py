"""A small HTTP server that answers as it is told, and remembers what it was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    """Bytes that are announced and never sent."""
    after: threading.Event | None = None
    """Not answered before this happens, …"""
    patience: float = 10
    """… or so many seconds have gone."""

    @classmethod
    def of(cls, body: Any, status: int = 200, **headers: str) -> "Reply":
        kind = "application/json" if status < 400 else "application/problem+json"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, json.dumps(body).encode(), {"Content-Type": kind, **named})


@dataclass
class Asked:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Misbehaving:
    """Replies one after the other; the last one for ever."""

    def __init__(self) -> None:
        self.replies: list[Reply] = [Reply.of({"items": [], "next": None})]
        self.asked: list[Asked] = []
        self.url = ""

    def answers(self, *replies: Reply) -> None:
        self.replies = list(replies)


@contextmanager
def misbehaving() -> Iterator[Misbehaving]:
    told = Misbehaving()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            told.asked.append(Asked(self.command, self.path, dict(self.headers), body))
            reply = told.replies.pop(0) if len(told.replies) > 1 else told.replies[0]
            if reply.after is not None:
                reply.after.wait(reply.patience)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body) + reply.cut))
            self.end_headers()
            self.wfile.write(reply.body)
            self.close_connection = bool(reply.cut)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
