"""Two sides behind the gateway, a row that says which owns, and clients that write and read without a pause."""

import http.client
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import psycopg

from devstack.harness.wait import wait_until
from tests.support.gateway.running import Gateway, running
from tests.support.moving import Monolith
from tests.support.providers.process import free_port, listens
from waybill.gateway.moving.in_flight import in_flight

DOCUMENTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g}
spec: {gatewayClassName: envoy, listeners: [{name: http, protocol: HTTP, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec:
  parentRefs: [{name: g}]
  rules:
    - {name: asked, matches: [{path: {value: /orders}}]}
    - name: here
      matches: [{path: {value: /orders}, headers: [{name: x-waybill-owner, value: here}]}]
      backendRefs: [{name: monolith}]
    - name: there
      matches: [{path: {value: /orders}, headers: [{name: x-waybill-owner, value: there}]}]
      backendRefs: [{name: service}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: {name: owner, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}]
  extAuth:
    failOpen: false
    recomputeRoute: true
    statusOnError: 503
    timeout: 12s
    http:
      path: /order
      headersToBackend: [x-waybill-owner]
      backendRefs: [{name: gate, port: 8000}]
      backendSettings:
        circuitBreaker:
          {maxConnections: 4096, maxPendingRequests: 4096, maxParallelRequests: 4096, maxParallelRetries: 4096}
        retry: {numRetries: 3, retryOn: {triggers: [connect-failure, refused-stream, reset]}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: orders, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}]
  requestBuffer: {limit: 64Ki}
"""
PLAIN = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec:
  parentRefs: [{name: g}]
  rules: [{matches: [{path: {value: /orders}}], backendRefs: [{name: monolith}]}]
"""
GATEWAY = DOCUMENTS.split("---", maxsplit=1)[0]
HOLD_SECONDS = 3.0
HELD = "UPDATE waybill_ownership SET held_until = clock_timestamp() + make_interval(secs => %s)"
LEAVES = "UPDATE waybill_ownership SET is_owner = false, leaving = true, epoch = epoch + 1"
LEFT = "UPDATE waybill_ownership SET leaving = false, held_until = NULL"
TAKES = "UPDATE waybill_ownership SET is_owner = true, epoch = epoch + 1, held_until = NULL"
BEGIN = "INSERT INTO waybill_ownership (source, is_owner, epoch) VALUES ('order', true, 0)"


@dataclass
class Record:
    """Who owns, as both sides see it, and what came to a side that does not."""

    owner: str = "here"
    is_asked: bool = True
    """Whether the gateway asks who owns; where it does not, a side is told what a client says."""
    written: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@contextmanager
def side(name: str, record: Record) -> Iterator[str]:
    """Run one side, and return its address. It takes what changes something only while it owns."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            told = self.headers.get_all("x-waybill-owner")
            if record.is_asked and told != [name]:
                record.wrong.append(f"{name} was told that {told} owns")
            if self.command == "POST":
                owners = [record.owner]
                time.sleep(0.002)  # the change takes its time, and nobody takes the rows away meanwhile
                owners.append(record.owner)
                if owners != [name, name]:
                    record.wrong.append(f"{name} was written to while the owner was {owners}")
                record.written[name] += 1
            body = name.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, *_: object) -> None:
            """A gateway that was ended has closed its side."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@dataclass
class Gates:
    """The programs that the gateway asks."""

    shop: Monolith
    ports: list[tuple[int, int]]
    programs: dict[int, subprocess.Popen[str]] = field(default_factory=dict)

    def start(self, number: int, wait_seconds: float = 10) -> None:
        """Start one, without waiting for it."""
        port, health = self.ports[number]
        arguments = ("gate", f"--port={port}", f"--health-port={health}", f"--wait-seconds={wait_seconds}")
        self.programs[number] = self.shop.start(*arguments)

    def await_ready(self, number: int) -> None:
        wait_until(lambda: self.ready(number) == 200, deadline_seconds=30, what=f"gate {number} is ready")

    def ready(self, number: int) -> int:
        """The status of /readyz; 0 where nobody answers."""
        if not listens(self.ports[number][1]):
            return 0
        return ask(f"127.0.0.1:{self.ports[number][1]}", "GET", "/readyz").status

    def kill(self, number: int) -> None:
        self.programs[number].kill()
        self.programs[number].wait(10)


@dataclass
class Scene:
    """The gateway before two sides, and how rows are handed over."""

    gateway: Gateway
    gates: Gates
    shop: Monolith
    record: Record

    @property
    def address(self) -> str:
        return self.gateway.site.listeners["http"]

    def hand_over(self, row: psycopg.Connection) -> None:
        """Change the row as the handover does, away from where the rows are."""
        row.execute(HELD, [HOLD_SECONDS])
        wait_until(lambda: in_flight(self.gateway.folder, "orders") == 0, deadline_seconds=HOLD_SECONDS, what="none")
        if self.record.owner == "here":
            self.record.owner = "nobody"
            row.execute(LEAVES)
            self.record.owner = "there"
            row.execute(LEFT)
        else:
            self.record.owner = "nobody"
            self.record.owner = "here"
            row.execute(TAKES)

    def row(self) -> psycopg.Connection:
        """A session with the database that has the row."""
        return psycopg.connect(self.shop.url, autocommit=True)


@contextmanager
def scene(home: Path, shop: Monolith) -> Iterator[Scene]:
    """Run all of it, on a shop whose rows it owns itself."""
    shop.execute(BEGIN)
    record = Record()
    gates = Gates(shop, [(free_port(), free_port()) for _ in range(2)])
    for number in range(2):
        gates.start(number)
    with ExitStack() as stack:
        sides = {name: stack.enter_context(side(name, record)) for name in ("here", "there")}
        addresses = {"shop/monolith": sides["here"], "shop/service": sides["there"]}
        addresses["shop/gate"] = ",".join(f"127.0.0.1:{port}" for port, _ in gates.ports)
        gateway = stack.enter_context(running(home, DOCUMENTS, addresses))
        for number in range(2):
            gates.await_ready(number)
        yield Scene(gateway, gates, shop, record)


@dataclass
class Answer:
    """What a request came to."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float


def ask(address: str, method: str, path: str = "/orders/1", **headers: str) -> Answer:
    """Ask once, on a connection of its own."""
    connection = http.client.HTTPConnection(address, timeout=30)
    begun = time.monotonic()
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read(), time.monotonic() - begun)
    finally:
        connection.close()


class Clients:
    """Write and read by turns on connections that are kept, each with a header of its own that is forged or not."""

    FORGED = (None, "here", "there", "everywhere")

    def __init__(self, address: str, clients: int = 8, pause: float = 0.0) -> None:
        self.answered: Counter[tuple[str, str]] = Counter()
        self.failed: list[str] = []
        self.disconnected: list[str] = []
        self.longest: dict[str, float] = {"GET": 0.0, "POST": 0.0}
        self._address, self._pause = address, pause
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._go_on, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.await_more(50)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(40)

    def await_more(self, count: int) -> None:
        """Wait until so many more are answered."""
        wanted = self.answered.total() + count
        wait_until(
            lambda: self.failed or self.answered.total() >= wanted, deadline_seconds=30, what=f"{count} more answers"
        )

    def _go_on(self, number: int) -> None:
        forged = self.FORGED[number % len(self.FORGED)]
        headers = {"X-Waybill-Owner": forged} if forged else {}
        connection = http.client.HTTPConnection(self._address, timeout=30)
        methods = ("POST", "GET") if number % 2 else ("GET", "POST")
        turn = 0
        while not self._over.wait(self._pause):
            method = methods[turn % 2]
            turn += 1
            begun = time.monotonic()
            try:
                connection.request(method, f"/orders/{number}", b"{}" if method == "POST" else None, headers)
                answer = connection.getresponse()
                body = answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                self.disconnected.append(repr(error))
                connection.close()
                continue
            self.longest[method] = max(self.longest[method], time.monotonic() - begun)
            if answer.status == 200:
                self.answered[method, body] += 1
            else:
                self.failed.append(f"{method} {answer.status} {body}")
        connection.close()
