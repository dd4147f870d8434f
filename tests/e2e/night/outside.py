"""What goes wrong outside: the payment provider, the mail server, and what customers order."""

from collections.abc import Generator

import httpx2 as httpx

from tests.e2e.night.operator import Operator
from tests.e2e.night.situations import Look, situation


@situation("the payment provider away", signal="worker_attempts_total{outcome=unavailable}", remedy="the provider")
def provider_away(op: Operator) -> Generator[Look]:
    sku = op.product()
    before = op.metric("payment.worker", "worker_attempts_total", outcome="unavailable") or 0
    op.stop("provider")
    order_id = op.order(sku)
    yield lambda: (op.metric("payment.worker", "worker_attempts_total", outcome="unavailable") or 0) > before
    op.start("provider")
    yield lambda: op.at_rest(order_id) in {"CONFIRMED", "CANCELLED"}


@situation("the mail server away", signal="worker_attempts_total{outcome=unavailable}", remedy="the mail server")
def mail_server_away(op: Operator) -> Generator[Look]:
    with op.stack.client("notification") as client:
        client.put("/v1/contacts/me", json={"email": "ann@example.com"}).raise_for_status()
    sku = op.product()
    before = op.metric("notification.worker", "worker_attempts_total", outcome="unavailable") or 0
    op.stop("mailbox")
    order_id = op.order(sku)
    yield lambda: (op.metric("notification.worker", "worker_attempts_total", outcome="unavailable") or 0) > before
    op.start("mailbox")

    def mailed() -> bool:
        try:
            items = httpx.get(f"{op.stack.urls['mailbox']}/messages", trust_env=False).json()["items"]
        except httpx.ConnectError:  # it is still starting
            return False
        return any(item["headers"].get("X-Order-ID") == order_id for item in items)

    yield mailed


@situation(
    "a provider that answers a byte at a time",
    signal="worker_attempts_total{outcome=unavailable}",
    remedy="the provider; a restart of the worker is bounded meanwhile",
    needs_links=True,
)
def dripping_provider(op: Operator) -> Generator[Look]:
    sku = op.product()
    before = op.metric("payment.worker", "worker_attempts_total", outcome="unavailable") or 0
    with op.stage.proxy.spoilt("provider", "slicer", average_size=1, size_variation=0, delay=1_500_000):
        orders = [op.order(sku) for _ in range(20)]
        yield lambda: (op.metric("payment.worker", "worker_attempts_total", outcome="unavailable") or 0) > before
        op.stop("payment.worker")  # fails past the supervisor's stop time
    op.start("payment.worker")
    yield lambda: {op.at_rest(order_id) for order_id in orders} <= {"CONFIRMED", "CANCELLED"}


@situation("an order with nothing to pay", signal="nothing: it ends CONFIRMED", remedy="nothing")
def free_order(op: Operator) -> Generator[Look]:
    sku = op.product(unit_price=0)
    order_id = op.order(sku)
    yield lambda: op.at_rest(order_id) == "CONFIRMED"
    ledger = httpx.get(f"{op.stack.urls['provider']}/v1/ledger", trust_env=False).json()["items"]
    yield lambda: not [entry for entry in ledger if entry["order_id"] == order_id]
