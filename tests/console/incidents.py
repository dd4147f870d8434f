"""The ten incidents. Each does its harm, yields what an operator is told and does, and undoes what is left of it."""

import signal
from collections.abc import Callable, Generator

import httpx2 as httpx
from confluent_kafka.admin import (  # pyright: ignore[reportPrivateImportUsage] - as documented
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from devstack import parts
from tests.console.browser import Browser
from tests.console.shift import Incident, Terminal
from tests.e2e.night.operator import DETECT_SECONDS, Operator, key, until
from tests.support import topics

ORDERS = "order.events.v1"
WHY = "as the runbook says"
REASON = ("--reason", WHY)
Story = Callable[[Operator], Generator[Incident]]
INCIDENTS: dict[str, Story] = {}


def incident(name: str) -> Callable[[Story], Story]:
    """Add an incident to the night."""

    def add(story: Story) -> Story:
        INCIDENTS[name] = story
        return story

    return add


def redriven(problem: str) -> Callable[[Browser], None]:
    """Return the way from the finding over the failures of its service to a redrive of them all."""

    def mend(browser: Browser) -> None:
        browser.follow(problem)
        browser.keep("failures")
        browser.fill("reason", WHY)
        browser.click("button", "Dry run")
        browser.keep("dry-run")
        browser.click("button", "Do it")
        browser.keep("redrives")

    return mend


@incident("the relay is frozen, and has no standby")
def relay_frozen(op: Operator) -> Generator[Incident]:
    sku = op.product()
    op.stage.freeze("order.relay", signal.SIGSTOP)
    order_id = op.order(sku)
    yield Incident(
        "no relay",
        "order",
        "no relay has a heartbeat",
        over=lambda: op.status_of(order_id) == "CONFIRMED",
        outside=lambda: op.stage.freeze("order.relay", signal.SIGKILL),
    )


@incident("the broker is away")
def broker_away(op: Operator) -> Generator[Incident]:
    sku = op.product()
    op.stop("kafka")
    order_id = op.order(sku)
    yield Incident(
        "broker away",
        None,
        "broker",
        over=lambda: op.status_of(order_id) == "CONFIRMED",
        outside=lambda: op.start("kafka"),
    )


@incident("a dead letter with followers")
def dead_letter(op: Operator) -> Generator[Incident]:
    sku = op.product()
    op.sql("inventory", f"ALTER TABLE products ADD CONSTRAINT shut CHECK (sku <> '{sku}' OR reserved = 0)")
    try:
        order_id = op.order(sku)
        dead = "SELECT 1 FROM received WHERE status = -1"
        until(lambda: op.sql("inventory", dead), "the dead letter")
        with op.stack.client("order") as client:
            client.post(f"/v1/orders/{order_id}/cancel", headers=key()).raise_for_status()
        until(lambda: len(op.sql("inventory", dead)) > 1, "the letter behind it")
        op.sql("inventory", "ALTER TABLE products DROP CONSTRAINT shut")  # the fix is deployed
        yield Incident(
            "dead letters",
            "inventory",
            "1 failed, 1 wait behind",
            over=lambda: op.status_of(order_id) == "CANCELLED",
            in_terminal=lambda terminal: _redrive(terminal, "inventory", "--messages"),
            in_browser=redriven("dead letters"),
            shows={"order": f"/orders/{order_id}"},
        )
    finally:
        op.sql("inventory", "ALTER TABLE products DROP CONSTRAINT IF EXISTS shut")


def _redrive(terminal: Terminal, service: str, side: str) -> None:
    terminal.run("dead-letters", "--service", service, side)
    terminal.run("redrive", "--service", service, side, *REASON)


@incident("an event that is too large for its topic")
def too_large(op: Operator) -> Generator[Incident]:
    sku = op.product()
    _limit(op, "100")
    try:
        order_id = op.order(sku)
        ((letter,),) = until(lambda: op.sql("order", "SELECT row_id FROM waybill_dead_letter"), "the refusal")
        _limit(op, "1048588")
        yield Incident(
            "publications refused",
            "order",
            "1 failed",
            over=lambda: op.status_of(order_id) == "CONFIRMED",
            in_terminal=lambda terminal: _redrive(terminal, "order", "--publications"),
            in_browser=redriven("publications refused"),
            shows={"dead-letter": f"/failures/order/{letter}"},
        )
    finally:
        _limit(op, "1048588")


def _limit(op: Operator, largest: str) -> None:
    """Set the largest record that the orders' topic takes, in bytes."""
    entry = ConfigEntry("max.message.bytes", largest, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, ORDERS, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": op.stack.kafka})
    for altered in admin.incremental_alter_configs([resource]).values():
        altered.result(DETECT_SECONDS)


@incident("the payment provider is away")
def provider_away(op: Operator) -> Generator[Incident]:
    sku = op.product()
    op.stop("provider")
    order_id = op.order(sku)
    yield Incident(
        "tasks failing",
        "payment",
        "charge",
        over=lambda: op.status_of(order_id) == "CONFIRMED",
        outside=lambda: op.start("provider"),
    )


@incident("a refund that fails for ever")
def refund_fails(op: Operator) -> Generator[Incident]:
    sku = op.product()
    provider = op.stack.urls["provider"]
    fault = {"path": "/v1/refunds", "fault": "error"}
    httpx.post(f"{provider}/faults", json=fault, trust_env=False).raise_for_status()
    try:
        order_id = op.order(sku, "tok_slow")
        until(lambda: op.status_of(order_id) == "RESERVED", "the charge under way")
        with op.stack.client("order") as client:
            client.post(f"/v1/orders/{order_id}/cancel", headers=key()).raise_for_status()
        owed = "SELECT status FROM payments WHERE order_id = %s"
        until(lambda: op.sql("payment", owed, order_id) == [("REFUNDING",)], "the refund under way")
        op.stage.freeze("payment.worker", signal.SIGSTOP)  # its next attempt must not be quicker than we are
        httpx.post(f"{provider}/faults", json=fault | {"fault": None}, trust_env=False).raise_for_status()
        listed = httpx.get(f"{provider}/v1/charges", params={"order_id": order_id}, trust_env=False).json()["items"]
        part = {"order_id": order_id, "charge_id": listed[0]["id"], "amount": 1}  # given back by hand: all is refused
        httpx.post(f"{provider}/v1/refunds", json=part, headers=key(), trust_env=False).raise_for_status()
        op.stage.freeze("payment.worker", signal.SIGCONT)
        yield Incident(
            "task needs attention",
            "payment",
            "refund",
            over=lambda: op.status_of(order_id) == "CANCELLED",
            in_terminal=lambda terminal: _settle(terminal, order_id),
            in_browser=_settled,
        )
    finally:
        httpx.post(f"{provider}/faults", json=fault | {"fault": None}, trust_env=False).raise_for_status()


def _settle(terminal: Terminal, order_id: str) -> None:
    terminal.run("attention", "--service", "payment")
    terminal.run("settle", order_id, "--service", "payment", "--paid-elsewhere", "transfer 17", "--execute", *REASON)


def _settled(browser: Browser) -> None:
    browser.follow("task needs attention")
    browser.keep("attention")
    browser.open_details("Settle it")
    browser.fill("reference", "transfer 17")
    browser.fill("reason", WHY)
    browser.click("button", "Show what that does")
    browser.keep("dry-run-settle")
    browser.click("button", "Do it")


@incident("an order that waits for the answer of the stock")
def waits_for_stock(op: Operator) -> Generator[Incident]:
    sku = op.product()
    op.stop("inventory.consumer")
    order_id = op.order(sku)
    yield Incident(
        "waiting",
        "inventory",
        "StockReserved",
        over=lambda: op.status_of(order_id) == "CONFIRMED",
        outside=lambda: op.start("inventory.consumer"),
    )


@incident("a price list that is behind")
def price_list_behind(op: Operator) -> Generator[Incident]:
    op.product()  # so that the group has a place on the topic
    op.stop("order.consumer")
    with op.stack.client("inventory", op.stack.state["tokens"]["staff"]) as staff:
        listing = {"sku": f"P-{key()['Idempotency-Key'][:8]}", "name": "A lamp", "unit_price": 100, "currency": "EUR"}
        staff.post("/v1/products", json=listing, headers=key()).raise_for_status()
    known = "SELECT 1 FROM prices WHERE sku = %s"
    yield Incident(
        "copy behind",
        "order",
        "group order_service has",
        over=lambda: bool(op.sql("order", known, listing["sku"])),
        outside=lambda: op.start("order.consumer"),
    )


@incident("records that one group never saw")
def records_missing(op: Operator) -> Generator[Incident]:
    sku = op.product()
    op.stop("notification.consumer")
    order_id = op.order(sku)
    assert op.at_rest(order_id) == "CONFIRMED"
    admin = AdminClient({"bootstrap.servers": op.stack.kafka})  # kept: its answers end with it
    for removed in admin.delete_records(topics.ends(op.stack.kafka, ORDERS)).values():
        removed.result(DETECT_SECONDS)
    op.start("notification.consumer")
    notified = "SELECT 1 FROM notifications WHERE order_id = %s AND notices ? 'ORDER_CONFIRMED'"
    yield Incident(
        "records missing",
        "notification",
        ORDERS,
        over=lambda: op.sql("notification", notified, order_id) and not op.ready("notification.consumer"),
        in_terminal=_replay,
        in_browser=_replayed,
    )


def _replay(terminal: Terminal) -> None:
    to = ("--to-consumer", "notification_service", "--with-effects")
    terminal.run("replay", "--service", "order", "--since", "1h", *to, "--execute", *REASON)


def _replayed(browser: Browser) -> None:
    browser.follow("records missing")
    browser.keep("replays")
    browser.select("service", "order")
    browser.fill("since", "1h")
    browser.fill("to_consumer", "notification_service")
    browser.check("effects")
    browser.fill("reason", WHY)
    browser.click("button", "Dry run")
    browser.keep("dry-run-replay")
    browser.click("button", "Do it")


@incident("a service is down")
def service_down(op: Operator) -> Generator[Incident]:
    sku = op.product()
    programs = [name for name in parts.names() if name.startswith("payment.")]
    op.stop(*programs)
    order_id = op.order(sku)
    yield Incident(
        "no relay",
        "payment",
        "no relay has a heartbeat",
        over=lambda: op.status_of(order_id) == "CONFIRMED",
        outside=lambda: op.start(*programs),
    )
