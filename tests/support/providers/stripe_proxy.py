"""What Stripe does and localstripe does not, in a proxy before it.

- Idempotency: the first answer under a key is kept, a 500 too, and told again with `Idempotent-Replayed: true`; with
  other parameters the key is refused. `forget` makes every key unknown, as after 24 hours.
- Search by the order's id in the metadata, put together from a list. `blind` makes it lag.
- A refund of more than is left of the charge is refused.
- `error_on_requires_action` is taken and dropped: no card of these tests asks for the customer.
- Faults, by the last word of the path: `error` (500, not kept, nothing done), `refused` (400, not kept, nothing done),
  `stored_error` (500, kept, nothing done), `late_error` (done, and a 500 is kept), `lose` (done and kept, and the
  connection closed), `wrong_amount`, `wrong_currency` (done; every PaymentIntent and refund is told so), `failed` (a
  refund is told to have failed).
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2 as httpx

ERROR = {"error": {"type": "api_error", "message": "something is wrong on Stripe's end"}}
REFUSED = {
    "error": {
        "type": "invalid_request_error",
        "code": "parameter_invalid_integer",
        "param": "amount",
        "message": "cannot be",
    }
}
TOO_MUCH = {
    "error": {"type": "invalid_request_error", "message": "Refund amount is greater than unrefunded amount on charge"}
}
REUSED = {"error": {"type": "idempotency_error", "message": "this key was used with other parameters"}}


@dataclass(frozen=True)
class Kept:
    """The first answer under a key."""

    asked: bytes
    status: int
    body: dict[str, Any]


@dataclass
class Proxy:
    """One proxy; its fields may be changed while it runs."""

    upstream: httpx.Client
    url: str = ""
    faults: dict[str, str] = field(default_factory=dict)
    refusals: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    """By the last word of the path: the status and error that are answered, with nothing done or kept."""
    blind: bool = False
    posts: list[str] = field(default_factory=list)
    kept: dict[tuple[str, str], Kept] = field(default_factory=dict)
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def forget(self) -> None:
        """Know no key any more."""
        self.kept.clear()

    def get(self, target: str, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(target)
        if parts.path == "/v1/payment_intents/search":
            return 200, {"object": "search_result", "data": self.found(parts.query, headers), "has_more": False}
        answer = self.upstream.get(target, headers=headers)
        return answer.status_code, self.told(answer.json())

    def found(self, query: str, headers: dict[str, str]) -> list[dict[str, Any]]:
        asked = re.fullmatch(r"metadata\['order_id'\]:'([0-9a-f-]{36})'", dict(parse_qsl(query))["query"])
        assert asked is not None
        intents = self.upstream.get("/v1/payment_intents?limit=100", headers=headers).json()["data"]
        mine = [one for one in intents if (one["metadata"] or {}).get("order_id") == asked[1]]
        return [] if self.blind else [self.told(one) for one in mine]

    def post(self, path: str, key: str, asked: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any], bool]:
        """Status, body, and whether it was told before."""
        self.posts.append(path)
        with self.one_at_a_time:
            kept = self.kept.get((path, key)) if key else None
            if kept:
                return (kept.status, kept.body, True) if kept.asked == asked else (400, REUSED, False)
            word = path.rpartition("/")[2]
            if word in self.refusals:
                status, error = self.refusals[word]
                return status, {"error": error}, False
            fault = self.faults.get(word)
            if fault in {"error", "refused"}:
                return (500, ERROR, False) if fault == "error" else (400, REFUSED, False)
            status, body = (500, ERROR) if fault == "stored_error" else self.done(path, asked, headers)
            if fault == "late_error":
                status, body = 500, ERROR
            if key:
                self.kept[path, key] = Kept(asked, status, body)
            return status, self.told(body), False

    def done(self, path: str, asked: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        fields = [(name, value) for name, value in parse_qsl(asked.decode()) if name != "error_on_requires_action"]
        if path == "/v1/refunds" and self.exceeds(dict(fields), headers):
            return 400, TOO_MUCH
        form = {"content-type": "application/x-www-form-urlencoded"}
        answer = self.upstream.post(path, content=urlencode(fields), headers=headers | form)
        return answer.status_code, answer.json()

    def exceeds(self, asked: dict[str, str], headers: dict[str, str]) -> bool:
        """Whether the refund is of more than is left."""
        intent = asked["payment_intent"]
        charged = self.upstream.get(f"/v1/payment_intents/{intent}", headers=headers).json()["amount"]
        refunds = self.upstream.get("/v1/refunds?limit=100", headers=headers).json()["data"]
        given_back = sum(one["amount"] for one in refunds if one["payment_intent"] == intent)
        return given_back + int(asked["amount"]) > charged

    def told(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body as this proxy tells it."""
        if isinstance(body.get("data"), list):
            return body | {"data": [self.told(one) for one in body["data"]]}
        wrong = set(self.faults.values())
        if "amount" in body and "wrong_amount" in wrong:
            body = body | {"amount": body["amount"] + 1}
        if "currency" in body and "wrong_currency" in wrong:
            body = body | {"currency": "xts"}
        if body.get("object") == "refund" and "failed" in wrong:
            body = body | {"status": "failed"}
        return body


@contextmanager
def running(upstream: str) -> Iterator[Proxy]:
    """Serve on a free port until the end of the block."""
    with httpx.Client(base_url=upstream, timeout=20) as client:
        proxy = Proxy(client)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_GET(self) -> None:
                self.say(*proxy.get(self.path, self.credentials()))

            def do_POST(self) -> None:
                asked = self.rfile.read(int(self.headers.get("content-length") or 0))
                key = self.headers.get("idempotency-key", "")
                status, body, replayed = proxy.post(self.path, key, asked, self.credentials())
                if proxy.faults.get(self.path.rpartition("/")[2]) == "lose":
                    self.close_connection = True
                    return
                self.say(status, body, replayed=replayed)

            def credentials(self) -> dict[str, str]:
                return {"authorization": self.headers.get("authorization", "")}

            def say(self, status: int, content: dict[str, Any], *, replayed: bool = False) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                if replayed:
                    self.send_header("Idempotent-Replayed", "true")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        proxy.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield proxy
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
