"""The whole system on real parts, for one test session: started by the same command as a user's."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2 as httpx

from devstack.folder import CHECKOUT
from devstack.harness.interrupts import undisturbed
from devstack.harness.wait import wait_until

START_SECONDS = 400  # a deadline only: a loaded machine takes minutes


class StartFailed(Exception):
    """The stack did not come up."""


@dataclass(frozen=True)
class Stack:
    """A running stack and what its state.json says."""

    home: Path
    environment: dict[str, str]
    checkout: Path = CHECKOUT

    @property
    def state(self) -> dict[str, Any]:
        """Return what state.json says now."""
        return json.loads((self.home / "state.json").read_text())

    @property
    def urls(self) -> dict[str, str]:
        """Return the base URL of each part."""
        return self.state["urls"]

    @property
    def kafka(self) -> str:
        """Return Kafka's bootstrap address."""
        return self.state["kafka"]

    @property
    def superuser_url(self) -> str:
        """Return the URL of the database server as its superuser."""
        given = self.environment.get("WAYBILL_POSTGRES_URL")
        if given:
            return given
        kept = json.loads((self.home / "stack.json").read_text())
        return f"postgresql://postgres:{kept['secrets']['postgres']}@127.0.0.1:{kept['ports']['postgres']}/postgres"

    def database(self, name: str) -> str:
        """Return the URL of one of the server's databases, as superuser."""
        return urlunsplit(urlsplit(self.superuser_url)._replace(path=f"/{name}"))

    def pid(self, process: str) -> int:
        """Return the process's id; 0 while it is not running."""
        return self.state["processes"].get(process, 0)

    def token(self, subject: str, scope: str = "orders") -> str:
        """Return a token of the stack's development issuer."""
        return self.devstack("token", "--sub", subject, "--scope", scope).strip()

    def client(self, service: str, token: str | None = None) -> httpx.Client:
        """Return a client of one service; the demo customer's unless another token is given."""
        token = token or self.state["tokens"]["customer"]
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.urls[service], headers=headers, timeout=10, trust_env=False)

    def devstack(self, *arguments: str) -> str:
        """Run one of the devstack's commands on this stack, and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "devstack", *arguments],
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
            start_new_session=True,  # a terminal's Ctrl-C goes to every process of the session
        )
        if done.returncode:
            raise StartFailed(f"devstack {' '.join(arguments)}: {done.stderr[-3000:]}{done.stdout[-1000:]}")
        return done.stdout


@contextmanager
def running(home: Path, checkout: Path = CHECKOUT, *, only: Sequence[str] = (), **environment: str) -> Iterator[Stack]:
    """Start a stack in a folder, of these parts where some are named; stop it and wipe its data whatever happens."""
    stack = Stack(home, {**os.environ, "WAYBILL_HOME": str(home), **environment}, checkout)
    with guarded(stack):
        try:
            stack.devstack("up", "--no-telemetry", *(("--only", ",".join(only)) if only else ()))
            yield stack
        finally:
            with undisturbed():
                stack.devstack("reset")


@contextmanager
def guarded(stack: Stack) -> Iterator[None]:
    """Have the stack stopped where this process is killed before the block ends."""
    guard = subprocess.Popen(
        [sys.executable, "-m", "devstack.harness.guard"],
        cwd=stack.checkout,
        env=stack.environment,
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    last = ""  # at the pipe's end the guard stops what may be left, as after a reset that failed
    try:
        yield
        last = "stopped"
    finally:
        guard.communicate(last)


def sent(response: httpx.Response, *statuses: int) -> Any:
    """Return the answer's JSON; fail with the whole answer where the status is another."""
    assert response.status_code in statuses, (response.status_code, response.text)
    return response.json() if response.content else None


def order_at_rest(client: httpx.Client, order_id: str, *, deadline_seconds: float = 60) -> dict[str, Any]:
    """Return the order once it is CONFIRMED or CANCELLED."""
    seen: list[str] = []

    def look() -> dict[str, Any] | None:
        order = sent(client.get(f"/v1/orders/{order_id}"), 200)
        seen[:] = [order["status"]]
        return order if order["status"] in {"CONFIRMED", "CANCELLED"} else None

    return wait_until(look, deadline_seconds=deadline_seconds, what=f"order {order_id} in a final status", seen=seen)
