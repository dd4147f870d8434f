"""The services show what is the webshop's, and nothing follows from it: no reservation, charge, mail or deadline."""

from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import psycopg
import pytest

from devstack.harness.stack import Stack, order_at_rest, sent
from devstack.harness.wait import wait_until
from tests.support.outbox_command import outbox
from tests.support.shop import Shop, key
from tests.support.topics import wait_until_read
from tests.support.webshop import FIRST, Webshop, told_as, webshop

EACH, STOCK = 20, 500
NEW, SHIPPED, CANCELLED = FIRST, FIRST + EACH, FIRST + 2 * EACH
IDS = [told_as("orders_order", n) for n in range(FIRST, FIRST + 3 * EACH)]
ERASED, THERE = IDS[0], IDS[1:]
LATER = {"PENDING": EACH - 11, "CONFIRMED": EACH + 5, "CANCELLED": EACH + 5}
CHANGE = f"""
DELETE FROM orders_orderline WHERE order_id = {NEW};
DELETE FROM orders_order WHERE id = {NEW};
UPDATE orders_order SET status = 'shipped', shipped_at = now() WHERE id BETWEEN {NEW + 1} AND {NEW + 5};
UPDATE orders_order SET status = 'cancelled' WHERE id BETWEEN {NEW + 6} AND {NEW + 10}
"""
SKU = told_as("catalogue_product", FIRST)
CUSTOMER = told_as("customers_customer", FIRST)
SHOWN = "SELECT imported_status, count(*) FROM orders WHERE order_id = ANY(%s) AND status = 'IMPORTED' GROUP BY 1"
FOLLOWED = {
    "inventory": "SELECT count(*) FROM reservations WHERE order_id = ANY(%s::uuid[])",
    "payment": "SELECT count(*) FROM payments WHERE order_id = ANY(%s::uuid[])",
    "notification": "SELECT count(*) FROM notifications WHERE order_id = ANY(%s::uuid[])",
    "order": "SELECT count(*) FROM waybill_due_task JOIN waybill_outbox USING (event_id) WHERE aggregate_id = ANY(%s)",
}
CONSOLE = "SELECT status, count(*) FROM console_order WHERE order_id = ANY(%s::uuid[]) GROUP BY 1"
PRODUCT = f"/v1/products/{SKU}"
BODY = {"lines": [{"sku": SKU, "quantity": 1}], "payment_method": "tok_ok"}
READERS = ("inventory_service", "payment_service", "notification_service")


def asked(stack: Stack, service: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(stack.state["databases"][service], autocommit=True) as session:
        found = session.execute(query, values)
        return found.fetchall() if found.description else []


@pytest.fixture(scope="module")
def customer(stack: Stack) -> Iterator[httpx.Client]:
    """The webshop's customer, with an address to which mail would go."""
    token = stack.token(CUSTOMER)
    with stack.client("notification", token) as client:
        sent(client.put("/v1/contacts/me", json={"email": "webshop@example.com"}), 200, 201)
    with stack.client("order", token) as client:
        yield client


@pytest.fixture(scope="module")
def here(stack: Stack, shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webshop]:
    """The webshop with a product, which the inventory shows."""
    with webshop(stack, tmp_path_factory.mktemp("webshop")) as made:
        made.fill(STOCK)
        captured(made, "product")
        # A consumer that another test has disturbed takes a while to be back.
        wait_until(lambda: shop.staff.get(PRODUCT).status_code == 200, deadline_seconds=120, what="a product is shown")
        yield made


@pytest.fixture(scope="module")
def before(here: Webshop, shop: Shop, customer: httpx.Client) -> dict[str, Any]:
    """What was answered on the product while it was the webshop's; it is owned here now."""
    told = {
        "shown": sent(shop.staff.get(PRODUCT), 200),
        "ordered": sent(customer.post("/v1/orders", json=BODY, headers=key()), 422)["code"],
        "delisted": sent(shop.staff.delete(PRODUCT), 409)["code"],
        "differ": differ(here, "product"),
    }
    stale = {**key(), "If-Match": '"0.0.0"'}
    told["stale"] = shop.staff.post(f"{PRODUCT}/own", headers=stale).status_code
    tag = shop.staff.get(PRODUCT).headers["ETag"]
    sent(shop.staff.post(f"{PRODUCT}/own", headers={**key(), "If-Match": tag}), 200)
    shop.until_priced(SKU, 1999)
    return told


@pytest.fixture(scope="module")
def moved(before: Any, here: Webshop, shop: Shop, customer: httpx.Client) -> dict[str, Any]:
    """Orders of every status and later states of some, all taken in and past every reader; and an order of our own."""
    for first, status in ((NEW, "new"), (SHIPPED, "shipped"), (CANCELLED, "cancelled")):
        here.order(first, EACH, status)
    captured(here, "order")
    until_shown(shop, {"PENDING": EACH, "CONFIRMED": EACH, "CANCELLED": EACH})
    here.execute(CHANGE)
    here.migrate("run", "--until-empty", aggregate="order")
    until_shown(shop, LATER)
    wait_until_read(shop.stack.kafka, "order.events.v1", READERS)
    own = sent(customer.post("/v1/orders", json=BODY, headers=key()), 202)
    assert order_at_rest(customer, own["id"])["status"] == "CONFIRMED"
    shop.until(lambda: shop.mails(own), "the mail of an order that was placed here")
    return own


def captured(here: Webshop, aggregate: str) -> None:
    assert here.migrate("capture", "on", aggregate=aggregate)[-1]["on"]
    here.migrate("backfill", aggregate=aggregate)
    here.migrate("run", "--until-empty", aggregate=aggregate)


def differ(here: Webshop, aggregate: str, code: int = 0, seconds: str = "30") -> tuple[int, int]:
    """How many rows were compared, and how many differ."""
    found = here.migrate("verify", "--settle-seconds", seconds, aggregate=aggregate, code=code)[-1]
    return found["compared"], found["differ"]


def until_shown(shop: Shop, statuses: dict[str, int]) -> None:
    seen: list[Any] = []

    def look() -> bool:
        seen[:] = asked(shop.stack, "order", SHOWN, IDS)
        return dict(seen) == statuses

    wait_until(look, deadline_seconds=60, what=f"shown as {statuses}", seen=seen)


def test_a_product_of_the_webshop_is_shown_and_can_be_ordered_once_it_is_owned(here, before, shop):
    shown = before["shown"]
    assert (shown["on_hand"], shown["unit_price"], shown["imported"]) == (STOCK, 1999, True)
    assert (before["ordered"], before["delisted"], before["stale"]) == ("unknown_sku", "imported_product", 412)
    assert before["differ"] == (1, 0)
    assert sent(shop.staff.get(PRODUCT), 200)["imported"] is False


def test_nothing_follows_from_an_order_of_the_webshop(moved, shop):
    followed = {service: asked(shop.stack, service, query, IDS)[0][0] for service, query in FOLLOWED.items()}
    assert followed == dict.fromkeys(FOLLOWED, 0)
    with httpx.Client(trust_env=False) as client:
        asked_for = {
            one["order_id"] for one in sent(client.get(f"{shop.stack.urls['provider']}/v1/ledger"), 200)["items"]
        }
        mails = sent(client.get(f"{shop.stack.urls['mailbox']}/messages"), 200)["items"]
    told = {one["headers"].get("X-Order-ID") for one in mails}
    assert ({moved["id"]} <= asked_for & told, (asked_for | told) & set(IDS)) == (True, set())
    shop.settled(SKU, on_hand=STOCK - 1)


def test_a_customer_sees_the_orders_by_the_time_they_were_placed_and_cannot_cancel_them(moved, customer):
    found: list[dict[str, Any]] = []
    path: str | None = "/v1/orders?limit=25&status=IMPORTED"
    while path:
        page = sent(customer.get(path), 200)
        found, path = found + page["items"], page["next"]
    assert {one["id"] for one in found} == set(THERE)
    assert found == sorted(found, key=lambda one: (one["created_at"], one["id"]), reverse=True)
    first = f"/v1/orders/{found[0]['id']}"
    assert found[0]["created_at"].startswith("2025-03-01T10:00:00")
    assert sent(customer.get(first, headers={"Prefer": "wait=30"}), 200) == found[0]
    assert sent(customer.post(f"{first}/cancel", headers=key()), 409)["code"] == "imported_order"
    assert customer.get(f"/v1/orders/{ERASED}").status_code == 404


def test_operators_see_them_and_are_not_told_that_they_wait(moved, shop):
    waiting = outbox("orders", "--json", WAYBILL_HOME=str(shop.stack.home))
    assert not [one for one in IDS if one in waiting.out]
    (told,) = outbox("order", THERE[0], "--json", WAYBILL_HOME=str(shop.stack.home)).lines()
    assert (told["status"], told["ended"], told["why"], told["due"]) == ("IMPORTED", True, [], [])
    wanted = {"IMPORTED": len(THERE), "ERASED": 1}
    shop.until(lambda: dict(asked(shop.stack, "console", CONSOLE, IDS)) == wanted, "the console shows them")


def test_verify_agrees_and_finds_what_is_planted(moved, here, shop):
    assert differ(here, "order") == (len(THERE), 0)
    asked(shop.stack, "order", "UPDATE orders SET total = total + 1 WHERE order_id = %s", THERE[0])
    try:
        assert differ(here, "order", code=1, seconds="0") == (len(THERE), 1)
    finally:
        asked(shop.stack, "order", "UPDATE orders SET total = total - 1 WHERE order_id = %s", THERE[0])
