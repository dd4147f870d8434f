"""A real Envoy on a folder of generations, services behind it that misbehave on request, and clients that go on."""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

from devstack.folder import CHECKOUT
from devstack.harness.wait import wait_until
from tests.support.gateway.running import running
from tests.support.providers.process import free_port
from waybill.gateway.moving import verbs

DOCUMENTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: here}
spec:
  gatewayClassName: envoy
  listeners: [{name: http, protocol: HTTP, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: rooms, namespace: hotel}
spec:
  parentRefs: [{name: here}]
  rules:
    - name: reads
      matches: [{method: GET, path: {value: /v1/rooms}}]
      backendRefs: [{name: monolith, port: 80}]
    - name: writes
      matches: [{path: {value: /v1/rooms}}]
      backendRefs: [{name: monolith, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: guests, namespace: hotel}
spec:
  parentRefs: [{name: here}]
  rules:
    - matches: [{path: {value: /v1/guests}}]
      backendRefs: [{name: monolith, port: 80}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: reads, namespace: hotel}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: rooms, sectionName: reads}]
  timeout: {http: {requestTimeout: 7s}}
"""


NEW = 12
"""As many services more, `rooms-0` and so on, which no route has led to; all of them are `rooms`."""


@dataclass
class Service:
    """Answers with its own name."""

    name: str
    port: int = 0
    status: int = 200
    seconds: float = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def service(name: str) -> Iterator[Service]:
    told = Service(name)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            time.sleep(told.seconds)
            body = told.name.encode()
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        told.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield told
        server.shutdown()
        thread.join()


@dataclass
class Gateway:
    """Envoy, and the command that moves its routes."""

    folder: Path
    port: int
    admin: str
    services: dict[str, Service]

    def get(self, path: str = "/v1/rooms", method: str = "GET", **headers: str) -> tuple[int, str]:
        """Status of an answer, and which service gave it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, headers={key.replace("_", "-"): value for key, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command as a process."""
        command = [sys.executable, "-m", "waybill", "gateway", arguments[0], "--folder", str(self.folder), "--json"]
        return subprocess.Popen(
            [*command, *arguments[1:]], cwd=CHECKOUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def command(self, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        """Run a command in this process: exit code, what it put, what it told."""
        out, told = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(told):
            try:
                code = verbs.main([arguments[0], "--folder", str(self.folder), "--json", *arguments[1:]])
            except SystemExit as end:  # argparse's own
                code = int(end.code or 0)
        return code, [json.loads(line) for line in out.getvalue().splitlines()], told.getvalue()

    def shares(self, route: str = "rooms", rule: str = "reads") -> dict[str, float]:
        """Percent by service, as `status` tells."""
        _, rows, _ = self.command("status")
        return next(one["services"] for one in rows if (one["route"], one["rule"]) == (route, rule))


def ended(running: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]], str]:
    """Wait for a command's end: exit code, what it put, what it told."""
    out, told = running.communicate(timeout=60)
    return running.returncode, [json.loads(line) for line in out.splitlines()], told


@contextmanager
def gateway(home: Path) -> Iterator[Gateway]:
    """Run one with its services; Envoy goes when the block ends."""
    with ExitStack() as stack:
        services = {name: stack.enter_context(service(name)) for name in ("monolith", "rooms")}
        addresses = {f"hotel/{name}": one.address for name, one in services.items()}
        addresses |= {f"hotel/rooms-{number}": services["rooms"].address for number in range(NEW)}
        addresses["hotel/nowhere"] = f"127.0.0.1:{free_port()}"
        envoy = stack.enter_context(running(home, DOCUMENTS, addresses))
        _, _, port = envoy.site.listeners["http"].rpartition(":")
        yield Gateway(envoy.folder, int(port), envoy.site.admin, services)


@dataclass
class Load:
    """What clients were answered."""

    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    first: dict[str, float] = field(default_factory=dict)
    """When each service answered first, by time.time()."""

    def of(self, name: str) -> int:
        return sum(count for (_, by), count in self.answers.items() if by == name)

    @property
    def bad(self) -> Counter[tuple[int, str]]:
        return Counter({key: count for key, count in self.answers.items() if key[0] != 200})


@contextmanager
def load(to: Gateway, clients: int = 4, pause: float = 0.005) -> Iterator[Load]:
    """Let clients ask on connections that they keep, one request after the other, until the block ends."""
    over, seen, lock = threading.Event(), Load(), threading.Lock()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", to.port, timeout=20)
        while not over.wait(pause):
            try:
                connection.request("GET", "/v1/rooms")
                answer = connection.getresponse()
                by = answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                seen.failures.append(repr(error))
                connection.close()
                continue
            with lock:
                seen.answers[answer.status, by] += 1
                seen.first.setdefault(by, time.time())
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: seen.answers.total() > 50, deadline_seconds=20, what="the load runs")
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()
