"""A refund that the provider can never pay is settled by an operator, and the order ends."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2 as httpx
import psycopg
import pytest

from devstack.harness.stack import CHECKOUT, sent
from tests.support.audit import until_they_agree
from tests.support.shop import Shop, key

PART = 600
AUDIT = "SELECT operator, reason, what FROM waybill_operator_action WHERE verb = 'settle' AND what->>'aggregate' = %s"
REASON = "the card is closed"


def outbox(shop: Shop, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command on the stack."""
    return subprocess.run(
        [sys.executable, "-m", "outbox_relay", *arguments],
        cwd=CHECKOUT,
        env=shop.stack.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def provider(shop: Shop) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shop.stack.urls["provider"], trust_env=False) as client:
        yield client


@pytest.fixture
def owed(shop: Shop) -> dict[str, Any]:
    """An order being cancelled whose charge was given back in part, by hand: the provider refuses the whole refund."""
    with provider(shop) as client:
        sent(client.post("/faults", json={"path": "/v1/charges", "fault": "lose"}), 200)
        try:
            order = shop.order(shop.product(1))
            shop.until(lambda: shop.ledger(order), "it is charged, and nobody heard of it")
            (charge,) = sent(client.get("/v1/charges", params={"order_id": order["id"]}), 200)["items"]
            body = {"order_id": order["id"], "charge_id": charge["id"], "amount": PART}
            sent(client.post("/v1/refunds", json=body, headers=key()), 200)
            sent(shop.customer.post(f"/v1/orders/{order['id']}/cancel", headers=key()), 202)
        finally:
            sent(client.post("/faults", json={"path": "/v1/charges", "fault": None}), 200)
    shop.until(lambda: marked(shop, order), "the refund needs attention")
    return order


def marked(shop: Shop, order: dict[str, Any]) -> list[dict[str, Any]]:
    """What `outbox attention` has of an order's payment."""
    listed = outbox(shop, "attention", "--service", "payment", "--json")
    lines = map(json.loads, listed.stdout.splitlines())
    return [line for line in lines if line["aggregate"] == f"payment/{order['id']}"]


def payment(shop: Shop, order: dict[str, Any]) -> tuple[str, str | None, str | None]:
    (one,) = shop.of("payment", "payments", order)
    return one["status"], one["refund_id"], one["settled_by"]


def status(shop: Shop, order: dict[str, Any]) -> str:
    return sent(shop.customer.get(f"/v1/orders/{order['id']}"), 200)["status"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "refund_id", "settled_by", "mails"),
    [
        (
            ["--paid-elsewhere", "transfer 4711"],
            "transfer 4711",
            "paid_elsewhere",
            ["Your order is cancelled", "Your payment is refunded"],
        ),
        (["--written-off"], "", "written_off", ["Your order is cancelled"]),
    ],
)
def test_a_refund_that_cannot_be_paid_is_settled_and_the_books_agree(shop, owed, how, refund_id, settled_by, mails):
    (entry,) = marked(shop, owed)
    assert entry["task"] == "refund"
    assert "outbox settle --service payment" in entry["remediation"]
    command = ["settle", owed["id"], "--service", "payment", *how]

    dry = outbox(shop, *command, "--json")
    assert (dry.returncode, "dry run: PaymentRefunded would be recorded" in dry.stderr) == (0, True), dry.stderr
    (told,) = map(json.loads, dry.stdout.splitlines())
    assert (told["task"], told["row"]["status"], told["row"]["settled_by"]) == ("refund", "REFUNDING", None)
    (event,) = told["events"]
    assert (event["type"], event["payload"]["settled_by"]) == ("PaymentRefunded", settled_by)
    assert (status(shop, owed), payment(shop, owed)) == ("CANCELLING", ("REFUNDING", None, None))

    assert outbox(shop, *command, "--execute").returncode == 2, "it needs a reason"
    done = outbox(shop, *command, "--execute", "--reason", REASON, "--by", "ann")
    assert (done.returncode, "refund of payment/" in done.stderr) == (0, True), done.stderr
    assert shop.at_rest(owed)["status"] == "CANCELLED"
    assert payment(shop, owed) == ("REFUNDED", refund_id, settled_by)
    assert marked(shop, owed) == []
    with psycopg.connect(shop.stack.state["databases"]["payment"]) as session:
        ((by, reason, what),) = session.execute(AUDIT, [f"payment/{owed['id']}"]).fetchall()
        due = "SELECT count(*) FROM waybill_due_task JOIN waybill_outbox USING (event_id) WHERE aggregate_id = %s"
        assert session.execute(due, [owed["id"]]).fetchone() == (0,)
    assert (by, reason, what["task"], what["events"]) == ("ann", REASON, "refund", ["PaymentRefunded"])

    again = outbox(shop, *command, "--execute", "--reason", REASON)
    assert (again.returncode, again.stdout) == (1, "")
    assert "is REFUNDED: only a refund that is still owed can be settled; nothing is changed" in again.stderr
    shop.until(lambda: sorted(shop.mails(owed)) == mails, f"the mails {mails}")
    until_they_agree(shop.stack)


@pytest.mark.slow
def test_what_cannot_be_settled_is_refused_by_name(shop):
    paid = shop.at_rest(shop.order(shop.product(1)))
    nobody = str(uuid.uuid4())
    for service, asked, said in (
        ("payment", paid["id"], "is CHARGED: only a refund that is still owed"),
        ("payment", nobody, f"there is no payment {nobody}"),
        ("payment", "lamp", "“lamp” is not a valid UUID"),
        ("order", paid["id"], "order_service has no task that an operator can settle"),
    ):
        done = outbox(shop, "settle", asked, "--service", service, "--written-off", "--execute", "--reason", "why")
        assert (done.returncode, done.stdout, said in done.stderr) == (1, "", True), done.stderr
    assert payment(shop, paid)[0] == "CHARGED"


def test_one_key_of_one_service_is_settled(shop):
    for services in ([], ["--service", "payment", "--service", "order"]):
        done = outbox(shop, "settle", "lamp", *services, "--written-off")
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
