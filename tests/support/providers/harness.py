"""One provider and its adapter, as the contract suite sees them: what is charged, what goes wrong, what was asked."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid4

import httpx2 as httpx
import pytest
from pydantic import SecretStr

from payment_service.domain import Payment, Status
from payment_service.provider import asking, guard
from payment_service.provider.simulator import Simulator
from payment_service.provider.stripe import Stripe
from payment_service.settings import PaymentSettings
from tests.support.providers import stripe_proxy
from tests.support.providers.process import answering, free_port

KEY = "sk_test_waybill"


class Harness(Protocol):
    """A provider that a test may break, and what its own records say."""

    name: str
    settings: PaymentSettings
    fine: str
    """A payment method that is charged."""
    poor: str
    """One that is declined."""

    def fault(self, call: str, fault: str | None) -> None:
        """Break `charge`, `void`, `refund` or `creation` (what a charge begins with); None repairs it."""
        ...

    def forget(self) -> None:
        """Know no idempotency key any more."""
        ...

    def charges(self, order_id: UUID) -> list[int]:
        """The amounts that an order was charged, by the provider's own records."""
        ...

    def refunds(self, order_id: UUID) -> list[int]:
        """The amounts that an order was given back."""
        ...

    def give_back(self, order_id: UUID, *parts: int) -> None:
        """Refund by hand, in the provider's own records: all that was charged, or these parts of it."""
        ...


def payment(psp: Harness, *, method: str | None = None, **fields: Any) -> Payment:
    """A payment of a new order that was asked for."""
    wanted = {"status": Status.REQUESTED, "customer_id": "ann", "amount": 4200, "currency": "EUR"}
    wanted |= {"order_id": uuid4(), "payment_method": method or psp.fine}
    return Payment(**(wanted | fields))


@dataclass
class SimulatorWorld:
    """The simulator of the local stack."""

    settings: PaymentSettings
    client: httpx.Client
    name: str = "simulator"
    fine: str = "tok_ok"
    poor: str = "tok_declined"

    def fault(self, call: str, fault: str | None) -> None:
        path = f"/v1/{'charge' if call == 'creation' else call}s"
        self.client.post("/faults", json={"path": path, "fault": fault}).raise_for_status()

    def forget(self) -> None:
        self.client.post("/forget").raise_for_status()

    def charges(self, order_id: UUID) -> list[int]:
        return self._amounts("charges", order_id)

    def refunds(self, order_id: UUID) -> list[int]:
        return self._amounts("refunds", order_id)

    def give_back(self, order_id: UUID, *parts: int) -> None:
        for charge in self.client.get("/v1/charges", params={"order_id": str(order_id)}).json()["items"]:
            for amount in parts or (charge["amount"],):
                body = {"order_id": str(order_id), "charge_id": charge["id"], "amount": amount}
                key = {"Idempotency-Key": f"by-hand-{uuid4()}"}
                self.client.post("/v1/refunds", json=body, headers=key).raise_for_status()

    def _amounts(self, kind: str, order_id: UUID) -> list[int]:
        items = self.client.get(f"/v1/{kind}", params={"order_id": str(order_id)}).json()["items"]
        return [one["amount"] for one in items]


@dataclass
class StripeHarness:
    """localstripe behind the proxy; its records are read past the proxy."""

    settings: PaymentSettings
    proxy: stripe_proxy.Proxy
    name: str = "stripe"
    fine: str = "pm_card_visa"
    poor: str = "pm_card_chargeCustomerFail"

    def fault(self, call: str, fault: str | None) -> None:
        word = {"charge": "confirm", "void": "cancel", "refund": "refunds", "creation": "payment_intents"}.get(
            call, call
        )
        self.proxy.faults.pop(word, None)
        if fault:
            self.proxy.faults[word] = fault

    def forget(self) -> None:
        self.proxy.forget()

    def charges(self, order_id: UUID) -> list[int]:
        return [one["amount"] for one in self._intents(order_id) if one["status"] == "succeeded"]

    def refunds(self, order_id: UUID) -> list[int]:
        mine = {one["id"] for one in self._intents(order_id)}
        return [one["amount"] for one in self._list("refunds") if one["payment_intent"] in mine]

    def give_back(self, order_id: UUID, *parts: int) -> None:
        for intent in self._intents(order_id):
            for amount in parts or (intent["amount"],):
                body = f"payment_intent={intent['id']}&amount={amount}".encode()
                form = {"content-type": "application/x-www-form-urlencoded", "authorization": f"Bearer {KEY}"}
                self.proxy.upstream.post("/v1/refunds", content=body, headers=form).raise_for_status()

    def _intents(self, order_id: UUID) -> list[dict[str, Any]]:
        return [one for one in self._list("payment_intents") if one["metadata"].get("order_id") == str(order_id)]

    def _list(self, kind: str) -> list[dict[str, Any]]:
        credentials = {"authorization": f"Bearer {KEY}"}
        return list(self.proxy.upstream.get(f"/v1/{kind}?limit=100", headers=credentials).json()["data"])


@contextmanager
def in_use(psp: Harness) -> Iterator[None]:
    """Make it the provider that this process's payment service asks, repaired and with closed breakers."""
    adapter = {"simulator": Simulator, "stripe": Stripe}[psp.name](psp.settings)
    with pytest.MonkeyPatch.context() as patched, ExitStack() as afterwards:
        for call in ("charge", "void", "refund", "creation"):
            psp.fault(call, None)
            afterwards.callback(psp.fault, call, None)
        patched.setattr(asking, "chosen", lambda: adapter)
        for module in (asking, guard):
            patched.setattr(module, "read", lambda kind: psp.settings)
        for leave in (guard._breaker.cache_clear, adapter.close):
            afterwards.callback(leave)
        guard._breaker.cache_clear()
        yield


@contextmanager
def simulator(folder: Path) -> Iterator[SimulatorWorld]:
    """Run a simulator of the test's own."""
    port = free_port()
    environment = {
        **os.environ,
        "STACK_FILE": str(folder / "ledger"),
        "STACK_HOST": "127.0.0.1",
        "STACK_PORT": str(port),
    }
    environment |= {"PROVIDER_TIMEOUT_SECONDS": "30", "PROVIDER_SLOW_SECONDS": "2"}
    command = [sys.executable, "-m", "devstack.simulators.provider"]
    with answering(command, port, folder / "simulator.log", environment) as url, httpx.Client(base_url=url) as client:
        settings = PaymentSettings(provider="simulator", provider_url=url, provider_timeout_seconds=20)
        yield SimulatorWorld(settings, client)


@contextmanager
def stripe(folder: Path) -> Iterator[StripeHarness]:
    """Run a localstripe of the test's own, and the proxy before it."""
    port = free_port()
    command = [sys.executable, "-m", "tests.support.providers.localstripe_program", str(port)]
    with (
        answering(command, port, folder / "localstripe.log", os.environ) as url,
        stripe_proxy.running(url) as proxy,
    ):
        yield StripeHarness(at_stripe(proxy.url), proxy)


def at_stripe(url: str) -> PaymentSettings:
    """Settings for Stripe at another address than its own."""
    return PaymentSettings(
        provider="stripe", stripe_url=url, stripe_api_key=SecretStr(KEY), provider_timeout_seconds=20
    )
