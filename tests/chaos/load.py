"""Customers: a steady, mixed stream of orders, each asked for until it is answered, some cancelled at random."""

import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx

from devstack.harness.stack import Stack, sent
from devstack.harness.wait import wait_until

# Payment method, whether the plentiful product is asked for, weight.
MIX = (
    ("tok_ok", "plenty", 9),
    ("tok_ok", "scarce", 2),
    ("tok_ok", "both", 2),
    ("tok_declined", "plenty", 3),
    ("tok_slow", "plenty", 3),
    ("tok_timeout_then_ok", "plenty", 1),
    ("tok_error_then_ok", "plenty", 2),
)
# Method, product, units, cancelled once RESERVED: what each customer asks for first, and again for as long as a run
# has not seen every transition.
OPENING = (
    ("tok_slow", "plenty", 1, True),
    ("tok_declined", "plenty", 1, False),
    ("tok_ok", "scarce", 7, False),
    ("tok_slow", "plenty", 2, True),
    ("tok_ok", "plenty", 1, False),
    ("tok_timeout_then_ok", "plenty", 1, True),
)
CUSTOMERS = len(OPENING)
CANCELS = 0.25
SLOW_CANCELS = 0.7  # a cancel while the provider is charging leads to the compensations
TWICE = 0.1  # a client that asks again although it was answered
RETRY_SECONDS = 0.2
GIVE_UP_SECONDS = 15.0


@dataclass
class Load:
    """What customers asked for, were answered, and should never have seen."""

    stack: Stack
    skus: dict[str, str] = field(default_factory=dict)
    placed: dict[str, str] = field(default_factory=dict)  # Idempotency-Key → order id
    open: dict[str, dict[str, Any]] = field(default_factory=dict)  # Idempotency-Key → request without an answer
    wrong: list[str] = field(default_factory=list)
    unavailable: list[float] = field(default_factory=list)  # when the answer was 503, by time.monotonic()
    cancelled: int = 0
    incomplete: threading.Event = field(default_factory=threading.Event)  # set while a transition has not been seen
    lock: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self) -> None:
        """List a product of which there is plenty and one that runs out, and give the customer an address."""
        with self.stack.client("notification") as client:
            sent(client.put("/v1/contacts/me", json={"email": "ann@example.com"}), 200, 201)
        for name, units in (("plenty", 1_000_000), ("scarce", 6)):
            sku = f"C-{name}-{uuid.uuid4().hex[:6]}"
            with self._staff() as staff:
                listing = {"sku": sku, "name": name, "unit_price": 1999, "currency": "EUR"}
                sent(staff.post("/v1/products", json=listing, headers=_key()), 201)
            self.skus[name] = sku
            self.receive(name, units)
        database = self.stack.state["databases"]["order"]
        wait_until(lambda: _priced(database, self.skus.values()), deadline_seconds=60, what="prices")

    def receive(self, name: str, units: int, key: dict[str, str] | None = None) -> bool:
        """Restock a product; False where the service does not answer."""
        stock = {"kind": "received", "quantity": units, "reason": "delivery"}
        with self._staff() as staff:
            answer = self.ask(staff, f"/v1/products/{self.skus[name]}/stock", stock, key or _key())
        if answer is None:
            return False
        if answer.status_code != 200:
            self.wrong.append(f"restocking: {answer.status_code} {answer.text[:200]}")
        return True

    def _staff(self) -> httpx.Client:
        return self.stack.client("inventory", self.stack.state["tokens"]["staff"])

    def ask(self, client: httpx.Client, path: str, body: Any, key: dict[str, str]) -> httpx.Response | None:
        """Ask until there is an answer, for a while; None where there was none."""
        until = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < until:
            with suppress(httpx.TransportError):
                answer = client.post(path, json=body, headers=key)
                if answer.status_code == 503:
                    # On a busy machine a request may wait too long for its turn: it is refused, and nothing was done.
                    if answer.json()["code"] != "overloaded":
                        self.unavailable.append(time.monotonic())
                elif answer.status_code != 409 or answer.json()["code"] != "idempotency_key_in_use":
                    return answer
            time.sleep(RETRY_SECONDS)
        return None

    def place(self, client: httpx.Client, key: dict[str, str], body: dict[str, Any]) -> str | None:
        """Place an order and return its id; one without an answer stays in `open`."""
        name = key["Idempotency-Key"]
        self.open[name] = body
        answer = self.ask(client, "/v1/orders", body, key)
        if answer is None:
            return None
        del self.open[name]
        if answer.status_code != 202:
            self.wrong.append(f"placing: {answer.status_code} {answer.text[:200]}")
            return None
        order_id = str(answer.json()["id"])
        if self.placed.setdefault(name, order_id) != order_id:
            self.wrong.append(f"one key, two orders: {self.placed[name]} and {order_id}")
        return order_id

    def finish(self) -> None:
        """Ask once more for everything that was never answered: the stack is available again."""
        with self.stack.client("order") as client:
            for name, body in list(self.open.items()):
                if self.place(client, {"Idempotency-Key": name}, body) is None:
                    self.wrong.append(f"no answer to {name} from a stack that is available")


@contextmanager
def flowing(load: Load, seed: int, orders_per_second: float) -> Iterator[None]:
    """Let customers order until the block ends."""
    stop = threading.Event()
    pause = CUSTOMERS / orders_per_second
    threads = [
        threading.Thread(target=_customer, args=(load, random.Random(f"{seed}/{n}"), stop, pause, first))
        for n, first in enumerate(OPENING)
    ]
    threads.append(threading.Thread(target=_warehouse, args=(load, stop)))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _customer(
    load: Load, rng: random.Random, stop: threading.Event, pause: float, opening: tuple[str, str, int, bool]
) -> None:
    with load.stack.client("order") as client:
        _order_as_opening(load, client, rng, stop, opening)
        while not stop.wait(rng.uniform(0.5, 1.5) * pause):
            if load.incomplete.is_set():
                _order_as_opening(load, client, rng, stop, opening)
            else:
                _order_at_random(load, client, rng, stop)


def _order_as_opening(
    load: Load, client: httpx.Client, rng: random.Random, stop: threading.Event, opening: tuple[str, str, int, bool]
) -> None:
    method, wanted, units, is_cancelled = opening
    order_id = load.place(client, _key(rng), _body(method, {load.skus[wanted]: units}))
    if order_id is not None and is_cancelled:
        _await_reserved(client, order_id, stop)
        _cancel(load, client, order_id, _key(rng))


def _order_at_random(load: Load, client: httpx.Client, rng: random.Random, stop: threading.Event) -> None:
    method, wanted, _ = rng.choices(MIX, [weight for *_, weight in MIX])[0]
    skus = list(load.skus.values()) if wanted == "both" else [load.skus[wanted]]
    key, body = _key(rng), _body(method, {sku: rng.randint(1, 3) for sku in skus})
    order_id = load.place(client, key, body)
    if rng.random() < TWICE:
        load.place(client, key, body)
    cancels = rng.random() < (SLOW_CANCELS if method.startswith(("tok_slow", "tok_timeout")) else CANCELS)
    if order_id is not None and cancels:
        stop.wait(rng.choice((0.0, 0.05, 0.2, 0.5, 1.0)))
        _cancel(load, client, order_id, _key(rng))


def _body(method: str, units: dict[str, int]) -> dict[str, Any]:
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in units.items()]
    return {"lines": lines, "payment_method": method}


def _await_reserved(client: httpx.Client, order_id: str, stop: threading.Event) -> None:
    until = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < until and not stop.wait(0.1):
        with suppress(httpx.TransportError):
            if client.get(f"/v1/orders/{order_id}").json().get("status") != "PENDING":
                return


def _cancel(load: Load, client: httpx.Client, order_id: str, key: dict[str, str]) -> None:
    answer = load.ask(client, f"/v1/orders/{order_id}/cancel", None, key)
    if answer is None:
        return
    if answer.status_code in {200, 202}:
        load.cancelled += 1
    elif answer.status_code != 409 or answer.json()["code"] != "too_late":
        load.wrong.append(f"cancelling {order_id}: {answer.status_code} {answer.text[:200]}")


def _warehouse(load: Load, stop: threading.Event) -> None:
    """Restock what runs out, now and then, so that orders are refused and taken in turn."""
    key = _key()
    while not stop.wait(8):
        if load.receive("scarce", 5, key):
            key = _key()


def _key(rng: random.Random | None = None) -> dict[str, str]:
    number = uuid.UUID(int=rng.getrandbits(128)) if rng else uuid.uuid4()
    return {"Idempotency-Key": str(number)}


def _priced(database: str, skus: Any) -> bool:
    import psycopg

    with psycopg.connect(database) as session:
        found = session.execute("SELECT count(*) FROM prices WHERE sku = ANY(%s)", [list(skus)]).fetchone()
    return found is not None and found[0] == len(list(skus))
