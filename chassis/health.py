"""`/livez`, `/readyz` and `/metrics` for the programs that answer no requests of their own.

`/livez` touches nothing. `/readyz` asks the program; Kafka away means degraded, not unready.
"""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_REUSEADDR, SOL_SOCKET, socket
from threading import Thread

from prometheus_client import exposition

from chassis import metrics

Ready = Callable[[], str | None]


def answer(path: str, ready: Ready) -> tuple[int, str, bytes]:
    """Return status, content type and body for one of the three paths; 404 for any other."""
    match path:
        case "/livez":
            return 200, "text/plain", b"ok\n"
        case "/readyz":
            reason = ready()
            return (200, "text/plain", b"ok\n") if reason is None else (503, "text/plain", f"{reason}\n".encode())
        case "/metrics":
            return 200, exposition.CONTENT_TYPE_LATEST, metrics.scraped()
        case _:
            return 404, "text/plain", b"only /livez, /readyz and /metrics here\n"


def refuse_taken_port(host: str, port: int) -> None:
    """Raise SystemExit with one line where host:port cannot be listened on."""
    with socket() as probe:
        probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SystemExit(_cannot(host, port, error)) from None


def _cannot(host: str, port: int, error: OSError) -> str:
    return f"cannot answer on {host}:{port}: {error.strerror}; set WAYBILL_HOST and WAYBILL_PORT to what is free here"


def serve(host: str, port: int, ready: Ready) -> None:
    """Answer on host:port in a daemon thread; raises SystemExit with one line where the port is taken."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = answer(self.path, ready)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing: probes come every few seconds."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise SystemExit(_cannot(host, port, error)) from None
    Thread(target=server.serve_forever, name="health", daemon=True).start()
