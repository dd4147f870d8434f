"""OTLP in, Zipkin out: the programs send OTLP alone, and Zipkin's own module for it is not to be had.

    STACK_HOST STACK_PORT STACK_VIEWER    python -m devstack.telemetry.bridge

A request is answered as soon as it is read. What waits for the viewer, which takes longer to start than the rest of the
stack, stands in a bounded queue; past that, senders are told to come again (503).
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import threading
import time
import urllib.error
import urllib.request
from http import HTTPStatus

from google.protobuf.message import DecodeError

from devstack.simulators.http_server import Answer, Request, serve
from devstack.telemetry.zipkin_spans import converted

MOST_WAITING = 200  # requests, of 256 spans at most
ANSWER_SECONDS = 10
PAUSE_SECONDS = 1.0


class Bridge:
    """Spans on their way to the viewer."""

    def __init__(self, viewer: str) -> None:
        self.viewer = viewer
        self.waiting: queue.Queue[bytes] = queue.Queue(MOST_WAITING)

    def answer(self, request: Request) -> Answer:
        """Take a request of OTLP."""
        if request.path == "/livez":
            return Answer(HTTPStatus.OK, {"waiting": self.waiting.qsize()})
        if request.path != "/v1/traces" or request.method != "POST":
            return Answer(HTTPStatus.NOT_FOUND, {"status": "only /v1/traces here"})
        try:
            spans = converted(request.body)
        except DecodeError:
            return Answer(HTTPStatus.BAD_REQUEST, {"status": "no protobuf of OTLP"})
        try:
            self.waiting.put_nowait(json.dumps(spans).encode())
        except queue.Full:
            return Answer(
                HTTPStatus.SERVICE_UNAVAILABLE, {"status": "the viewer does not answer"}, {"retry-after": "5"}
            )
        return Answer(HTTPStatus.OK, {})

    def pass_on(self) -> None:
        """Hand over what waits, one after the other, for as long as the process lives."""
        while True:
            spans = self.waiting.get()
            while not self.taken(spans):
                time.sleep(PAUSE_SECONDS)

    def taken(self, spans: bytes) -> bool:
        """Tell whether the viewer has these spans, or will never take them."""
        request = urllib.request.Request(f"{self.viewer}/api/v2/spans", spans, {"Content-Type": "application/json"})  # noqa: S310 - an address of the stack
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):  # noqa: S310  # nosec B310
                return True
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code < HTTPStatus.INTERNAL_SERVER_ERROR
        except OSError:
            return False


def main() -> None:
    """Run until SIGTERM."""
    bridge = Bridge(os.environ["STACK_VIEWER"])
    threading.Thread(target=bridge.pass_on, daemon=True).start()
    asyncio.run(serve(os.environ["STACK_HOST"], int(os.environ["STACK_PORT"]), bridge.answer))


if __name__ == "__main__":
    main()
