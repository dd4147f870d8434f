"""A registry behind TLS that asks who calls: a proxy in front of the real one, with certificates of its own."""

import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx

from tests.support.certificates import HOST, Certificates, make_certificates

USER, PASSWORD, TOKEN = "subscriber", "hidden-word: ü", "hidden-token.of-ours"


@dataclass
class Gateway:
    """What stands in front of the registry."""

    url: str
    certificates: Certificates
    away: bool = False
    """Hang up on everybody."""
    unwise: bool = False
    """Refuse everything, and repeat what was sent."""
    called: list[str] = field(default_factory=list)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, upstream: str, context: ssl.SSLContext) -> None:
        super().__init__((HOST, 0), _Handler)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.upstream = httpx.Client(base_url=upstream, trust_env=False, timeout=30)
        self.gateway: Gateway

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a handshake that fails is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _pass_on(self) -> None:
        gateway = self.server.gateway
        if gateway.away:
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        sent = self.headers.get("Authorization")
        if sent not in _TAKEN or gateway.unwise:
            self._answer(422 if sent in _TAKEN else 401, "text/plain", f"what is {sent}?".encode())
            return
        gateway.called.append(f"{self.command} {self.path}")
        content_type = {"Content-Type": self.headers.get("Content-Type") or "application/json"}
        answer = self.server.upstream.request(self.command, self.path, content=body, headers=content_type)
        self._answer(answer.status_code, answer.headers.get("Content-Type", ""), answer.content)

    do_GET = do_POST = do_PUT = _pass_on  # noqa: N815 - the names that http.server looks for

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


_TAKEN = {
    "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
    f"Bearer {TOKEN}",
}


@contextmanager
def guarded(url: str, folder: Path, *, client_certificate: bool = False) -> Iterator[Gateway]:
    """Put a gateway before the registry at `url`, until the block ends."""
    certificates = make_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_file)
    if client_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates.ca_file)
    parts = urlsplit(url)
    server = _Server(f"{parts.scheme}://{parts.netloc}", context)
    server.gateway = Gateway(f"https://{HOST}:{server.server_port}{parts.path}", certificates)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.gateway
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
        server.upstream.close()
