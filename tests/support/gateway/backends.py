"""Small HTTP servers that say what they were asked, and do as the test tells them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Backend:
    """One server, and what it was asked."""

    name: str
    address: str = ""
    status: int = 200
    losing: int = 0
    """So many of the next requests lose their connection, unanswered."""
    held: threading.Event = field(default_factory=threading.Event)
    """While it is not set, requests wait."""
    asked: list[dict[str, Any]] = field(default_factory=list)

    def of(self, path: str) -> list[dict[str, Any]]:
        """Return the requests for a path."""
        return [one for one in self.asked if one["path"] == path]


@contextmanager
def serving(name: str) -> Iterator[Backend]:
    """Run a backend."""
    backend = Backend(name)
    backend.held.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            headers = {key.lower(): value for key, value in self.headers.items()}
            asked = {"backend": name, "method": self.command, "path": self.path, "headers": headers, "bytes": len(body)}
            backend.asked.append(asked)
            if backend.losing > 0:
                backend.losing -= 1
                self.close_connection = True
                return
            backend.held.wait(10)
            content = json.dumps(asked).encode()
            self.send_response(backend.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, *_: Any) -> None:
            """A gateway that gave up has closed its side."""

    server = Server(("127.0.0.1", 0), Handler)
    backend.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield backend
    finally:
        backend.held.set()
        server.shutdown()
        thread.join()
        server.server_close()
