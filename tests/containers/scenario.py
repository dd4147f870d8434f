"""The compose file from nothing to nothing: up, orders through the published ports, kills, stopped, taken down."""

import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2 as httpx

from devstack import demo
from devstack.harness.stack import order_at_rest, sent
from devstack.harness.wait import wait_until
from devstack.services import SERVICES as SHOP
from tests.containers.composed import SERVICES, Composed, is_checked, is_ours, published, running
from tests.containers.engine import Engine, say

KILLED = ("order-relay", "inventory-consumer", "payment-worker", "order-web", "gateway", "postgres", "kafka")
BUSY = {502, 503, 504}  # from the gateway too
AGAIN_SECONDS = 180  # a deadline only


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was seen."""

    order: str  # its status in the end
    killed: dict[str, float]  # container → seconds until its file's restart policy had it healthy again
    beside: list[str]  # the status in the end of an order placed before each kill, and of one after it
    settled: dict[str, float]  # container → seconds after the start at which it was healthy or done
    users: dict[str, str]  # program → whom its container's first process runs as
    first: dict[str, str]  # program → that process
    ended: dict[str, int]  # program → exit code
    seconds: dict[str, float]  # program → how long it took to end
    left: list[str]


def play(engine: Engine) -> Outcome:
    """Bring the compose file up, confirm an order, kill what must come back, stop, take down, look what is left."""
    ours = [name for name in SERVICES if is_checked(name) and is_ours(name)]
    with running(engine) as composed:
        with shopping(composed) as client:
            status = at_rest(client, place(client))
            killed, beside = kill_each(composed, client)
        top = {name: engine.podman("top", composed.container(name), "user", "args").splitlines()[1:] for name in ours}
        stopped = composed.stop()
    first = {name: lines[0].split(maxsplit=1) for name, lines in top.items()}
    return Outcome(
        order=status,
        killed=killed,
        beside=beside,
        settled=composed.settled,
        users={name: user for name, (user, _) in first.items()},
        first={name: command for name, (_, command) in first.items()},
        ended={name: stopped[name][0] for name in ours},
        seconds={name: seconds for name, (_, seconds) in stopped.items()},
        left=engine.left(),
    )


@contextmanager
def shopping(composed: Composed) -> Iterator[httpx.Client]:
    """List the demo catalogue, and give a client of the gateway as one of this machine would be."""
    ports, tokens = dict(published()), composed.issued()
    urls = {name: f"http://127.0.0.1:{ports[f'{name}-web']}" for name in SHOP if f"{name}-web" in ports}
    demo.prepare({"urls": urls, "tokens": tokens})
    headers = {"Authorization": f"Bearer {tokens['customer']}"}
    gateway = f"http://127.0.0.1:{ports['gateway']}"
    with httpx.Client(base_url=gateway, headers=headers, timeout=10, trust_env=False) as client:
        yield client


def place(client: httpx.Client) -> str:
    """Place an order, under one key until it is accepted; returns its id."""
    body = {"lines": demo.LINES, "payment_method": "tok_ok"}
    headers = {"Idempotency-Key": str(uuid.uuid4())}

    def accepted() -> str | None:
        try:
            answer = client.post("/v1/orders", json=body, headers=headers)
        except httpx.TransportError:
            return None
        return None if answer.status_code in BUSY else sent(answer, 202)["id"]

    return wait_until(accepted, deadline_seconds=AGAIN_SECONDS, what="an order is accepted")


def at_rest(client: httpx.Client, order_id: str) -> str:
    """Wait until nothing more happens to an order; returns its status."""
    # The gateway looks up each route's backend by itself, and again after 1 to 3 s where that was not there yet.
    path = f"/v1/orders/{order_id}"
    wait_until(lambda: client.get(path).status_code not in BUSY, deadline_seconds=AGAIN_SECONDS, what=f"{path} reached")
    order = order_at_rest(client, order_id)
    say(f"order {order['id']}: {order['status']}")
    return order["status"]


def kill_each(composed: Composed, client: httpx.Client) -> tuple[dict[str, float], list[str]]:
    """Kill containers' first processes in turn, orders under way; returns how soon each was back, and the statuses."""
    seconds: dict[str, float] = {}
    orders: list[str] = []
    for name in KILLED:
        orders.append(place(client))
        began, before = time.monotonic(), composed.process(name)
        os.kill(before, signal.SIGKILL)
        wait_until(
            lambda name=name, before=before: composed.process(name) not in {0, before} and composed.is_healthy(name),
            deadline_seconds=AGAIN_SECONDS,
            what=f"{name} runs again",
        )
        seconds[name] = time.monotonic() - began
        say(f"{name}: killed, healthy again after {seconds[name]:.1f} s")
        orders.append(place(client))
    return seconds, [at_rest(client, one) for one in orders]
