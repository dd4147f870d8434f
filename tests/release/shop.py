"""The running shop that services are released in: its stock, its orders, and what became of them."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from benchmarks.api_load import BODY
from devstack.folder import CHECKOUT
from devstack.harness.stack import Stack, sent
from tests.support import audit
from tests.support.shop import key

UNITS = 1_000_000
SKU = "LAMP-01"  # what the benchmarks' requests ask for
assert SKU in BODY


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    said: str


def release(stack: Stack, *arguments: str) -> Ran:
    """Run `make release`'s command on the stack."""
    command = [sys.executable, "-m", "devstack.release", *arguments]
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env=stack.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout)


def fill(stack: Stack, customers: Sequence[str]) -> None:
    """Receive stock for every order that the load will place, and the addresses of those who place them (tokens)."""
    with stack.client("inventory", stack.state["tokens"]["staff"]) as staff:
        stock = {"kind": "received", "quantity": UNITS, "reason": "delivery"}
        sent(staff.post(f"/v1/products/{SKU}/stock", json=stock, headers=key()), 200)
    for token in customers:
        with stack.client("notification", token) as customer:
            sent(customer.put("/v1/contacts/me", json={"email": "ann@example.com"}), 201)


def orders(stack: Stack) -> int:
    """Return how many orders there are."""
    with psycopg.connect(stack.database("order")) as session:
        (count,) = session.execute("SELECT count(*) FROM orders").fetchone() or (0,)
    return count


def written(stack: Stack, service: str, event: str) -> dict[int, int]:
    """Return how many of an event the service wrote, by version."""
    query = "SELECT schema_version, count(*) FROM waybill_outbox WHERE event_type LIKE %s GROUP BY 1 ORDER BY 1"
    with psycopg.connect(stack.database(service)) as session:
        return dict(session.execute(query, [f"%.{event}"]).fetchall())


def harmed(stack: Stack) -> Sequence[str]:
    """Return what is wrong between databases, topics and the provider once nothing is under way any more."""
    try:
        audit.until_they_agree(stack)
    except AssertionError as error:
        return [finding.text for finding in audit.examine(stack).found] or [str(error)]
    return []
