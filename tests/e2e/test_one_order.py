"""Why one order waits, told by `outbox order` and `outbox orders` over all services, and the next command mends it."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2 as httpx

from devstack.harness.stack import sent
from devstack.harness.wait import wait_until
from tests.support.outbox_command import AWAY, Ended, outbox
from tests.support.shop import Shop

REASON = ["--reason", "a test"]


def ask(shop: Shop, *arguments: str, **environment: str) -> Ended:
    return outbox(*arguments, **{"WAYBILL_HOME": str(shop.stack.home), **environment})


def story(shop: Shop, order: dict[str, Any], **environment: str) -> dict[str, Any]:
    (told,) = ask(shop, "order", order["id"], "--json", **environment).lines()
    return told


def waits_for(shop: Shop, order: dict[str, Any], cause: str) -> dict[str, Any]:
    """Wait until this is what keeps the order; returns the story."""
    seen: list[Any] = []

    def look() -> dict[str, Any] | None:
        told = story(shop, order)
        seen[:] = [told["status"], told["why"]]
        return told if told["why"] and told["why"][0]["cause"] == cause else None

    return wait_until(look, deadline_seconds=30, what=f"{order['id']} waits: {cause}", seen=seen)


def relay_waits(shop: Shop, service: str) -> bool:
    """Tell whether the service's relay has seen its pause."""
    (state,) = ask(shop, "status", "--service", service, "--json").lines()
    return any(one["program"] == "relay" and (one["reason"] or "").startswith("paused") for one in state["programs"])


@contextmanager
def broken(shop: Shop, path: str, fault: str) -> Iterator[None]:
    """Break a kind of call to the provider for the length of the block."""
    with httpx.Client(base_url=shop.stack.urls["provider"], trust_env=False) as provider:
        sent(provider.post("/faults", json={"path": path, "fault": fault}), 200)
        try:
            yield
        finally:
            sent(provider.post("/faults", json={"path": path, "fault": None}), 200)


def test_the_story_of_an_order_has_every_step_of_every_service_with_who_received_it(shop):
    order = shop.order(shop.product(1))
    assert shop.at_rest(order)["status"] == "CONFIRMED"
    told = shop.until(lambda: (found := story(shop, order)) and not found["remaining"] and found, "nothing remains")
    assert (told["status"], told["ended"], told["why"], told["due"][0]["task"]) == (
        "CONFIRMED",
        True,
        [],
        "expire_order",
    )
    names = [one["event_type"].rpartition(".")[2] for one in told["events"]]
    first = ["OrderPlaced", "StockReserved", "OrderReserved", "PaymentRequested", "PaymentCharged", "OrderCharged"]
    assert names[:7] == [*first, "OrderConfirmed"]
    assert sorted(names[7:]) == ["NotificationRequested", "NotificationSent", "StockCommitted"]
    by_name = dict(zip(names, told["events"], strict=True))
    assert (by_name["PaymentCharged"]["made_by"], by_name["NotificationSent"]["made_by"]) == ("charge", "send")
    assert [by_name[name]["to"] for name in ("OrderPlaced", "OrderReserved", "OrderConfirmed", "StockReserved")] == [
        "PENDING",
        "RESERVED",
        "CONFIRMED",
        None,
    ]
    received = {(one["service"], one["receipt"]) for one in by_name["OrderConfirmed"]["received"]}
    assert received == {("inventory", "handled"), ("notification", "handled")}
    assert {one["correlation_id"] for one in told["events"]} == set(told["correlation_ids"])
    assert told["correlation_ids"][0] in told["log_filter"]
    shown = ask(shop, "order", order["id"])
    assert (shown.code, "it has ended" in shown.out, "OrderPlaced" in shown.out) == (0, True, True)


def test_an_order_waits_for_the_provider_and_says_so_with_attempts_and_the_last_error(shop):
    sku = shop.product(1)
    with broken(shop, "/v1/charges", "error"):
        order = shop.order(sku)
        told = waits_for(shop, order, "task failing")
        (why,) = told["why"]
        assert (why["service"], why["task"], why["answers"]) == (
            "payment",
            "charge",
            ["PaymentCharged", "PaymentDeclined"],
        )
        assert "charge has failed" in why["says"]
        assert [(one["task"], one["to"]) for one in told["remaining"][:2]] == [("charge", None), (None, "CONFIRMED")]
        assert {one["task"] for one in told["due"]} == {"expire_order", "charge"}
        listed = ask(shop, "orders", "--waiting", "--step", "RESERVED", "--at", "payment", "--json").lines()
        assert {one["key"]: one["why"]["cause"] for one in listed}[order["id"]] == "task failing"
        assert order["id"] not in ask(shop, "orders", "--step", "PENDING").out
        assert order["id"] not in ask(shop, "orders", "--older-than", "1h").out
    assert shop.at_rest(order)["status"] == "CONFIRMED"
    assert order["id"] not in ask(shop, "orders").out


def test_an_order_waits_for_a_paused_relay_and_the_next_command_resumes_it(shop):
    sku = shop.product(1)
    assert ask(shop, "pause", "--service", "inventory", *REASON).code == 0
    following = ["resume", "--service", "inventory", *REASON]
    try:
        shop.until(lambda: relay_waits(shop, "inventory"), "the relay has seen the pause")
        order = shop.order(sku)
        (why,) = waits_for(shop, order, "relay paused")["why"]
        assert (why["service"], why["event"]) == ("inventory", "StockReserved")
        _, *following = shlex.split(why["next"].replace("--reason '…'", shlex.join(REASON)))
        assert following[0] == "resume"
    finally:
        assert ask(shop, *following).code == 0
    assert shop.at_rest(order)["status"] == "CONFIRMED"


def test_a_database_that_is_away_is_named_and_the_rest_of_the_story_is_told(shop):
    order = shop.order(shop.product(1))
    assert shop.at_rest(order)["status"] == "CONFIRMED"
    databases = {**shop.stack.state["databases"], "payment": AWAY}
    told = {"WAYBILL_OUTBOX_DATABASES": ",".join(f"{name}={url}" for name, url in databases.items())}
    asked = ask(shop, "order", order["id"], "--json", **told)
    (found,) = asked.lines()
    assert (asked.code, found["status"], list(found["away"])) == (3, "CONFIRMED", ["payment"])
    assert "database payment: " in asked.err
    reserved = next(one for one in found["events"] if one["event_type"].endswith("OrderReserved"))
    assert {one["service"]: one["receipt"] for one in reserved["received"]} == {"payment": "unknown"}
    assert ask(shop, "orders", **told).code == 3
    assert ask(shop, "orders", WAYBILL_OUTBOX_DATABASES=f"order={AWAY},payment={databases['order']}").code == 4


def test_nothing_is_told_of_an_order_that_is_not_there(shop):
    asked = ask(shop, "order", "0198c0de-7000-7000-8000-000000000009")
    assert (asked.code, asked.out) == (1, "")
