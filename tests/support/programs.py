"""A program of the system as a process of the test's own, beside the session's stack."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devstack import tokens
from devstack.harness.stack import CHECKOUT
from devstack.harness.wait import wait_until
from tests.support.providers.process import free_port
from waybill.runtime.addresses import joined

NOWHERE = "127.0.0.1:1"
WEB = {"web", "console", "shadow"}


class Program:
    """One program of a service (WAYBILL_SERVICE; the order service), its relay, or the console's web program."""

    def __init__(self, kind: str, url: str, folder: Path, **more: str) -> None:
        self.kind, self.host, self.port = kind, more.get("WAYBILL_HOST", "127.0.0.1"), free_port()
        self.health_port = free_port() if kind in WEB else self.port
        self._log, self._folder = folder / f"{kind}.log", folder
        tokens.prepare(folder)
        environment = {
            **os.environ,
            "WAYBILL_SERVICE": "order_service",
            "WAYBILL_DATABASE_URL": url,
            "WAYBILL_KAFKA_BOOTSTRAP": NOWHERE,
            "WAYBILL_HOST": self.host,
            "WAYBILL_PORT": str(self.port),
            "WAYBILL_HEALTH_PORT": str(self.health_port),
            "WAYBILL_ENVIRONMENT": "development",
            "WAYBILL_JWKS_FILE": str(tokens.jwks_file(folder)),
            "WAYBILL_TOKEN_ISSUER": tokens.ISSUER,
            "WAYBILL_TOKEN_AUDIENCE": tokens.AUDIENCE,
            **more,
        }
        if "WAYBILL_DATABASE_URL_FILE" in more:
            del environment["WAYBILL_DATABASE_URL"]
        own = {"relay": ["outbox_relay"], "console": ["console_service", "web"], "shadow": ["waybill", "shadow"]}
        command = own.get(kind, ["waybill", environment["WAYBILL_SERVICE"], kind])
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=CHECKOUT, env=environment, stdout=log, stderr=log
            )

    @property
    def base(self) -> str:
        return f"http://{joined(self.host, self.port)}"

    @property
    def health_base(self) -> str:
        """Where it tells of itself: a web program has a port of its own for that."""
        return f"http://{joined(self.host, self.health_port)}"

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def _events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The log events that call somebody."""
        return [event for event in self._events if event["level"] in {"error", "critical"}]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log events of that name."""
        return [event for event in self._events if event["event"] == name]

    def token(self, scopes: str, subject: str = "ann") -> str:
        """A token that it takes."""
        return tokens.mint(self._folder, subject, scopes)

    def ask(self, path: str, body: dict[str, Any] | None = None, key: str = "") -> tuple[int, str]:
        """Status and body of the answer; a body makes it a POST of the demo customer's. 0 where nobody answers."""
        headers = {
            "Authorization": f"Bearer {self.token('orders')}",
            "Content-Type": "application/json",
            "Idempotency-Key": key or os.urandom(8).hex(),
        }
        data = None if body is None else json.dumps(body).encode()
        base = self.base if path.startswith("/v1/") else self.health_base
        request = urllib.request.Request(f"{base}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, answer.read().decode()
        except OSError as error:
            return 0, str(error)

    def order(self, sku: str = "LAMP", key: str = "") -> tuple[int, str]:
        """Place an order, under a new idempotency key unless one is given."""
        line = {"sku": sku, "quantity": 1}
        return self.ask("/v1/orders", {"lines": [line], "currency": "EUR", "payment_method": "tok_ok"}, key)

    def unready(self) -> str | None:
        """Why /readyz says no; None while it says yes."""
        status, said = self.ask("/readyz")
        return None if status == 200 else said or "does not answer"

    def wait_for(self, what: str, look: Callable[[], Any], deadline_seconds: float = 30) -> Any:
        """Wait, and show the program's log where that failed."""
        try:
            return wait_until(look, deadline_seconds=deadline_seconds, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.kind}: {self.unready()}\n{self.log[-4000:]}") from None


@contextmanager
def program(kind: str, url: str, **more: str) -> Iterator[Program]:
    """Run one; it must not have ended by itself, nor have logged a traceback."""
    with tempfile.TemporaryDirectory() as folder:
        running = Program(kind, url, Path(folder), **more)
        try:
            yield running
            assert running.process.poll() is None, running.log
            assert "Traceback" not in running.log, running.log
        finally:
            running.process.terminate()
            try:
                running.process.wait(20)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait(10)
