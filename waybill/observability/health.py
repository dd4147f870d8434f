"""`/livez`, `/readyz` and `/metrics`, on a port of their own: they are for who runs a program, and always answered.

`/livez` touches nothing. `/readyz` asks the program; Kafka away means degraded, not unready.
A reason leaves out what strangers need not know (redaction.py).
`Host` may be anything: probes and scrapers come by address, and no answer depends on it.
"""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, SOCK_STREAM, socket
from threading import Thread
from typing import Any, Final

import structlog

from waybill.observability import metrics
from waybill.observability.redaction import redacted
from waybill.runtime import addresses

log: structlog.stdlib.BoundLogger = structlog.get_logger()
# For a whole request: a client that sends a byte a second must not hold a thread for ever.
REQUEST_SECONDS: Final = 10.0
Ready = Callable[[], str | None]


def answer(path: str, ready: Ready, accept: str = "") -> tuple[int, str, bytes]:
    """Return status, content type and body for one of the three paths; 404 for any other."""
    match path:
        case "/livez":
            return 200, "text/plain", b"ok\n"
        case "/readyz":
            reason = ready()
            told = "ok" if reason is None else redacted(reason)
            return 200 if reason is None else 503, "text/plain", f"{told}\n".encode()
        case "/metrics":
            return 200, *metrics.scraped(accept)
        case _:
            return 404, "text/plain", b"only /livez, /readyz and /metrics here\n"


def cannot_listen(host: str, port: int, error: OSError, variable: str = "WAYBILL_PORT") -> str:
    """Return the line that ends a program whose address is taken, or not its own."""
    at = addresses.joined(host, port)
    return f"cannot answer on {at}: {error.strerror}; set WAYBILL_HOST and {variable} to what is free here"


class _Server(ThreadingHTTPServer):
    """A thread a connection, each for some seconds at most, whatever the other side does or leaves undone."""

    request_queue_size = 512

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family, address = addresses.resolve(host, port, SOCK_STREAM)
        self._ends: dict[socket, float] = {}
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._ends[request] = time.monotonic() + REQUEST_SECONDS
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """End the connections whose time is over; called twice a second."""
        now = time.monotonic()
        for request in [one for one, end in self._ends.copy().items() if end < now]:
            with suppress(OSError):
                request.shutdown(SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        self._ends.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's signature
        """Log a defect; a client that hung up is none."""
        error = sys.exception()
        if not isinstance(error, OSError):
            log.error("defect", client=client_address[0], exc_info=error)


def serve(host: str, port: int, ready: Ready, *, variable: str = "WAYBILL_PORT") -> None:
    """Answer on host:port in a daemon thread; raises SystemExit with one line where the port is taken."""

    class Handler(BaseHTTPRequestHandler):
        error_content_type, error_message_format = "text/plain", "%(message)s\n"

        def do_GET(self) -> None:
            status, kind, body = answer(self.path, ready, self.headers.get("Accept", ""))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the library's name

        def send_response(self, code: int, message: str | None = None) -> None:
            """Begin an answer; the library's own names server and version."""
            self.send_response_only(code, message)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-store")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing: probes come every few seconds."""

    try:
        server = _Server(host, port, Handler)
    except OSError as error:
        raise SystemExit(cannot_listen(host, port, error, variable)) from None
    Thread(target=server.serve_forever, name="health", daemon=True).start()
