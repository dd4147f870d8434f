"""The compose file from nothing to nothing: up, an order through the published ports, stopped, taken down."""

import uuid
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx

from devstack import demo
from devstack.harness.stack import order_at_rest, sent
from devstack.services import SERVICES as SHOP
from tests.containers.composed import SERVICES, Composed, is_checked, is_ours, published, running
from tests.containers.engine import Engine, say


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was seen."""

    order: str  # its status in the end
    settled: dict[str, float]  # container → seconds after the start at which it was healthy or done
    users: dict[str, str]  # program → whom its container's first process runs as
    first: dict[str, str]  # program → that process
    ended: dict[str, int]  # program → exit code
    seconds: dict[str, float]  # program → how long it took to end
    left: list[str]


def play(engine: Engine) -> Outcome:
    """Bring the compose file up, confirm an order, stop, take down, and look what is left."""
    ours = [name for name in SERVICES if is_checked(name) and is_ours(name)]
    with running(engine) as composed:
        status = place_order(composed)["status"]
        top = {name: engine.podman("top", composed.container(name), "user", "args").splitlines()[1:] for name in ours}
        stopped = composed.stop()
    first = {name: lines[0].split(maxsplit=1) for name, lines in top.items()}
    return Outcome(
        order=status,
        settled=composed.settled,
        users={name: user for name, (user, _) in first.items()},
        first={name: command for name, (_, command) in first.items()},
        ended={name: stopped[name][0] for name in ours},
        seconds={name: seconds for name, (_, seconds) in stopped.items()},
        left=engine.left(),
    )


def place_order(composed: Composed) -> dict[str, Any]:
    """List the demo catalogue, place an order as a client of this machine would, and return it once it rests."""
    ports, tokens = dict(published()), composed.issued()
    urls = {name: f"http://127.0.0.1:{ports[f'{name}-web']}" for name in SHOP if f"{name}-web" in ports}
    demo.prepare({"urls": urls, "tokens": tokens})
    headers = {"Authorization": f"Bearer {tokens['customer']}"}
    with httpx.Client(base_url=urls["order"], headers=headers, timeout=10, trust_env=False) as client:
        body = {"lines": demo.LINES, "payment_method": "tok_ok"}
        placed = client.post("/v1/orders", json=body, headers={"Idempotency-Key": str(uuid.uuid4())})
        order = order_at_rest(client, sent(placed, 202)["id"])
    say(f"order {order['id']}: {order['status']}")
    return order
