"""What a new user sees first: a small catalogue, a contact, and an order on its way to CONFIRMED.

Everything goes through the services' REST, as a client's request would, and may be repeated.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
import uuid
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from devstack import screen
from devstack.errors import DevstackError

if TYPE_CHECKING:
    from collections.abc import Mapping

# SKU, name, unit price in cents of EUR, units on hand at first.
CATALOGUE = (
    ("LAMP-01", "Desk lamp", 4_900, 10_000),
    ("CHAIR-01", "Oak chair", 12_900, 10_000),
    ("TABLE-01", "Oak table", 39_900, 1_000),
    ("MUG-01", "Stoneware mug", 1_450, 100_000),
    ("RUG-01", "Wool rug, last one", 24_900, 1),
)
CONTACT = "demo@example.com"
LINES = [{"sku": "LAMP-01", "quantity": 2}, {"sku": "MUG-01", "quantity": 1}]
DEADLINE_SECONDS = 30
POLL_SECONDS = 0.05
UNKNOWN_SKU = "unknown_sku"  # the problem's code: the price list has not heard of the product yet
FINAL = frozenset({"CONFIRMED", "CANCELLED"})  # orders in these states stay there


class Refused(Exception):
    """An answer other than a success; `code` is the problem's, where it is one."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status} {body[:300]}")
        self.status, self.code = status, ""
        with suppress(ValueError, AttributeError):
            self.code = str(json.loads(body).get("code", ""))


def ask(method: str, url: str, token: str, body: object = None, *, key: str = "") -> Any:
    """Send a request and return the answer's JSON.

    Raises:
        Refused: the service said no.
        DevstackError: nobody answers there.

    """
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    if method == "POST":
        headers["Idempotency-Key"] = key or str(uuid.uuid4())
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - our own addresses
    # No proxy stands between this machine and itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        raise Refused(error.code, error.read().decode(errors="replace")) from error
    except (OSError, http.client.HTTPException) as error:
        raise DevstackError(f"{method} {url}: {getattr(error, 'reason', error)}") from error


def prepare(state: Mapping[str, Mapping[str, str]]) -> None:
    """List the catalogue, give the demo customer a contact, and return once orders can be priced.

    Raises:
        DevstackError: a service refuses, or the price list does not arrive.

    """
    inventory, staff = state["urls"]["inventory"], state["tokens"]["staff"]
    try:
        listed = {item["sku"]: item for item in ask("GET", f"{inventory}/v1/products?limit=100", staff)["items"]}
        missing = [product for product in CATALOGUE if product[0] not in listed]
        for sku, name, unit_price, on_hand in missing:
            product = {"sku": sku, "name": name, "unit_price": unit_price, "currency": "EUR"}
            ask("POST", f"{inventory}/v1/products", staff, product, key=f"demo-list-{sku}")
            received = {"kind": "received", "quantity": on_hand, "reason": "first delivery"}
            ask("POST", f"{inventory}/v1/products/{sku}/stock", staff, received, key=f"demo-receive-{sku}")
        if "notification" in state["urls"]:
            contact = f"{state['urls']['notification']}/v1/contacts/me"
            ask("PUT", contact, state["tokens"]["customer"], {"email": CONTACT})
        if missing:
            await_prices(state)
    except Refused as refused:
        raise DevstackError(f"the demo catalogue was refused: {refused}") from refused


def await_prices(state: Mapping[str, Mapping[str, str]]) -> None:
    """Wait until the order service has heard of every product.

    The probe is refused in any case, for its quantity or its currency, so that no order comes of it.
    """
    orders, customer = f"{state['urls']['order']}/v1/orders", state["tokens"]["customer"]
    lines = [{"sku": sku, "quantity": 1} for sku, *_ in CATALOGUE]
    probe = {"lines": lines, "payment_method": "tok_ok", "currency": "XXX"}
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            ask("POST", orders, customer, probe)
        except Refused as refused:
            if refused.status == HTTPStatus.UNPROCESSABLE_ENTITY and refused.code != UNKNOWN_SKU:
                return
            if refused.status < HTTPStatus.INTERNAL_SERVER_ERROR and refused.code != UNKNOWN_SKU:
                raise
        if time.monotonic() > deadline:
            raise DevstackError(
                f"no prices reached the order service within {DEADLINE_SECONDS} s; see the relays' logs"
            )
        time.sleep(POLL_SECONDS)


def place_order(state: Mapping[str, Mapping[str, str]]) -> None:
    """Place an order and show each state it passes.

    Raises:
        DevstackError: it does not come to rest.

    """
    orders, customer = f"{state['urls']['order']}/v1/orders", state["tokens"]["customer"]
    try:
        order = ask("POST", orders, customer, {"lines": LINES, "payment_method": "tok_ok"})
        screen.say(f"order {order['id']}: {order['total'] / 100:.2f} {order['currency']}")
        show_history(f"{orders}/{order['id']}", customer)
    except Refused as refused:
        raise DevstackError(f"the demo order was refused: {refused}") from refused


def show_history(order: str, token: str) -> None:
    """Print an order's events as they come, until it rests."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    shown = 0
    while time.monotonic() < deadline:
        is_final = ask("GET", order, token)["status"] in FINAL
        events = ask("GET", f"{order}/events", token)["items"]
        for event in events[shown:]:
            screen.say(f"  {event['recorded_at'][11:23]}  {state_after(event['type'])}")
        shown = len(events)
        if is_final:
            return
        time.sleep(POLL_SECONDS)
    raise DevstackError(f"the demo order did not rest within {DEADLINE_SECONDS} s; see GET {order}/events and the logs")


def state_after(event: str) -> str:
    """Name the state that an order is in after an event."""
    states = {"OrderPlaced": "PENDING", "OrderCancellationStarted": "CANCELLING"}
    return states.get(event, event.removeprefix("Order").upper())


def curl(state: Mapping[str, Mapping[str, str]]) -> str:
    """Return a command that places an order, ready to paste."""
    body = json.dumps({"lines": LINES, "payment_method": "tok_ok"})
    return " \\\n  ".join(
        (
            f"curl -i {state['urls']['order']}/v1/orders",
            f"-H 'Authorization: Bearer {state['tokens']['customer']}'",
            "-H 'Content-Type: application/json'",
            '-H "Idempotency-Key: $RANDOM-$RANDOM"',
            f"-d '{body}'",
        )
    )
