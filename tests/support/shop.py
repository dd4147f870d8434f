"""A shop of the tests' own on the session's stack: a customer, staff, products with stock."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx

from devstack.harness.stack import Stack, order_at_rest, sent
from devstack.harness.wait import wait_until


def key() -> dict[str, str]:
    """A fresh Idempotency-Key."""
    return {"Idempotency-Key": str(uuid.uuid4())}


@dataclass(frozen=True)
class Shop:
    """What a test needs to trade."""

    stack: Stack
    customer: httpx.Client
    staff: httpx.Client

    def product(self, units: int, *, unit_price: int = 1999, currency: str = "EUR") -> str:
        """List a product with so many units, and wait until orders can be placed for it."""
        sku = f"T-{uuid.uuid4().hex[:10]}"
        listing = {"sku": sku, "name": "A lamp", "unit_price": unit_price, "currency": currency}
        sent(self.staff.post("/v1/products", json=listing, headers=key()), 201)
        stock = {"kind": "received", "quantity": units, "reason": "delivery"}
        if units:
            sent(self.staff.post(f"/v1/products/{sku}/stock", json=stock, headers=key()), 200)
        self.until_priced(sku, unit_price)
        return sku

    def until_priced(self, sku: str, unit_price: int | None) -> None:
        """Wait until the order service's price list has this price (None: not for sale)."""
        import psycopg

        def look() -> bool:
            with psycopg.connect(self.stack.state["databases"]["order"]) as session:
                row = session.execute("SELECT unit_price FROM prices WHERE sku = %s", [sku]).fetchone()
            return row is not None and row[0] == unit_price

        wait_until(look, deadline_seconds=30, what=f"price of {sku} is {unit_price}")

    def order(self, sku: str, quantity: int = 1, *, method: str = "tok_ok") -> dict[str, Any]:
        """Place an order."""
        body = {"lines": [{"sku": sku, "quantity": quantity}], "payment_method": method}
        return sent(self.customer.post("/v1/orders", json=body, headers=key()), 202)

    def at_rest(self, order: dict[str, Any]) -> dict[str, Any]:
        """The order once it has ended; where it does not, say what keeps it."""
        try:
            return order_at_rest(self.customer, order["id"])
        except AssertionError as error:
            from tests.support.outbox_command import outbox  # needs Django, which programs of the tests do without

            home = {"WAYBILL_HOME": str(self.stack.home)}
            told = [outbox("order", order["id"], **home), outbox("doctor", **home), outbox("status", **home)]
            raise AssertionError("\n".join([str(error), *(one.out + one.err for one in told)])) from None

    def types(self, order: dict[str, Any]) -> list[str]:
        """The types of the order's events, first to last."""
        items = sent(self.customer.get(f"/v1/orders/{order['id']}/events"), 200)["items"]
        assert [item["version"] for item in items] == list(range(1, len(items) + 1))
        return [item["type"] for item in items]

    def stock(self, sku: str) -> tuple[int, int]:
        """Units on hand and reserved."""
        product = sent(self.staff.get(f"/v1/products/{sku}"), 200)
        return product["on_hand"], product["reserved"]

    def settled(self, sku: str, on_hand: int, reserved: int = 0) -> None:
        """Wait until the stock is this."""
        wait_until(
            lambda: self.stock(sku) == (on_hand, reserved),
            deadline_seconds=30,
            what=f"stock of {sku} is {on_hand} on hand, {reserved} reserved",
        )

    def of(self, service: str, what: str, order: dict[str, Any]) -> list[dict[str, Any]]:
        """What another service says of an order."""
        with self.stack.client(service) as client:
            return sent(client.get(f"/v1/{what}", params={"order_id": order["id"]}), 200)["items"]

    def ledger(self, order: dict[str, Any]) -> list[tuple[str, str]]:
        """The provider's entries on an order: kind and status."""
        items = httpx.get(f"{self.stack.urls['provider']}/v1/ledger", trust_env=False).json()["items"]
        return [(item["kind"], item["status"]) for item in items if item["order_id"] == order["id"]]

    def mails(self, order: dict[str, Any]) -> list[str]:
        """The subjects of the mails on an order."""
        items = httpx.get(f"{self.stack.urls['mailbox']}/messages", trust_env=False).json()["items"]
        return [item["subject"] for item in items if item["headers"].get("X-Order-ID") == order["id"]]

    def until(self, look: Callable[[], Any], what: str) -> Any:
        """Wait for anything else."""
        return wait_until(look, deadline_seconds=30, what=what)
