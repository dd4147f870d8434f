"""The demo waits until every product can be ordered, whatever the order service says meanwhile."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from devstack import demo

OVERLOADED, UNKNOWN, PRICED = (503, "overloaded"), (422, "unknown_sku"), (422, "currency_mismatch")


@contextmanager
def order_service(*answers: tuple[int, str]) -> Iterator[tuple[dict[str, dict[str, str]], list[tuple[int, str]]]]:
    """Give where it answers so, one after the other, and what was not asked for."""
    left = list(answers)

    class Orders(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            status, code = left.pop(0)
            body = json.dumps({"code": code}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Orders) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield {"urls": {"order": f"http://127.0.0.1:{server.server_port}"}, "tokens": {"customer": "t"}}, left
        finally:
            server.shutdown()
            thread.join()


def test_a_service_that_is_overloaded_is_asked_again():
    with order_service(UNKNOWN, OVERLOADED, UNKNOWN, PRICED) as (state, left):
        demo.await_prices(state)
        assert left == []


def test_a_refusal_that_no_waiting_ends_is_told_at_once():
    with order_service((403, "forbidden"), PRICED) as (state, left):
        with pytest.raises(demo.Refused, match="403"):
            demo.await_prices(state)
        assert left == [PRICED]
