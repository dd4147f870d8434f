"""A receiver of OTLP over HTTP, as a collector is one: it keeps every span that programs send."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

CONTENT_TYPE = "application/x-protobuf"


@dataclass(frozen=True)
class Received:
    """One span as it came."""

    program: str
    trace_id: str
    span_id: str
    parent_id: str
    name: str
    began_ns: int
    ended_ns: int
    failed: bool
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]


@dataclass
class Receiver:
    """Whatever came, and what it answers."""

    url: str = ""
    status: int = 200
    requests: list[bytes] = field(default_factory=list)
    spans: list[Received] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        self.requests.append(body)
        self.spans += read(body)

    def of(self, trace_id: str) -> list[Received]:
        """The spans of one trace, first to last."""
        return sorted((one for one in self.spans if one.trace_id == trace_id), key=lambda one: one.began_ns)


def read(body: bytes) -> list[Received]:
    """The spans of a request's body."""
    found = []
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        program = {one.key: one.value.string_value for one in group.resource.attributes}["service.name"]
        for scope in group.scope_spans:
            found += [_received(program, one) for one in scope.spans]
    return found


def _received(program: str, span: Any) -> Received:
    return Received(
        program=program,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        began_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        attributes={one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes},
        links=tuple((one.trace_id.hex(), one.span_id.hex()) for one in span.links),
    )


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Receive on a free port."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            taken = self.path == "/v1/traces" and self.headers["Content-Type"] == CONTENT_TYPE
            status = receiver.status if taken else 404
            if status == 200:
                receiver.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
