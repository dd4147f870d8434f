"""What no longer agrees: rows with their events, an outbox with its topic, a database with its past."""

from collections.abc import Generator
from typing import Any

import httpx2 as httpx

from devstack import parts
from devstack.infrastructure import postgres
from tests.e2e.night.operator import Operator, until
from tests.e2e.night.situations import Look, situation
from tests.support.postgres import run_as_user

WHY = ("--reason", "as the runbook says")


def faults(op: Operator, *arguments: str) -> list[dict[str, Any]]:
    """Return what `verify` finds."""
    return [line for line in op.json("verify", "--no-rows", *arguments) if "kind" in line]


@situation(
    "a row that is not the fold of its events", signal="outbox rebuild --check", remedy="outbox rebuild --repair"
)
def row_changed_by_hand(op: Operator) -> Generator[Look]:
    sku = op.product()
    op.sql("inventory", "UPDATE products SET on_hand = on_hand + 1 WHERE sku = %s", sku)
    yield lambda: op.outbox("rebuild", "--check", "--service", "inventory").code == 1
    op.done("rebuild", "--repair", "--service", "inventory", "--execute", *WHY)
    yield lambda: op.outbox("rebuild", "--check", "--service", "inventory").code == 0


@situation("an outbox row that was deleted", signal="outbox verify", remedy="outbox restore")
def outbox_row_deleted(op: Operator) -> Generator[Look]:
    sku = op.product()
    order_id = op.order(sku)
    assert op.at_rest(order_id) == "CONFIRMED"
    statement = "DELETE FROM waybill_outbox WHERE aggregate_id = %s AND aggregate_version = 2 RETURNING event_id::text"
    ((event_id,),) = op.sql("order", statement, order_id)
    ghost: list[str] = []

    def named() -> bool:
        ghost[:] = [one["place"] for one in faults(op) if one["kind"] == "ghost" and event_id in one["says"]]
        return bool(ghost)

    yield named
    topic, partition, offset = ghost[0].rsplit("/", 2)
    place = ("--topic", topic, "--partition", partition, "--offset", offset)
    owner = op.stage.site.database("order", "owner")
    op.done("restore", "--service", "order", *place, "--execute", *WHY, WAYBILL_OWNER_DATABASE_URL=owner)
    yield lambda: not [one for one in faults(op) if order_id in str(one) or event_id in str(one)]


@situation("a refund that was paid elsewhere", signal="outbox attention", remedy="outbox settle")
def refund_paid_elsewhere(op: Operator) -> Generator[Look]:
    sku = op.product()
    fault = f"{op.stack.urls['provider']}/faults"
    httpx.post(fault, json={"path": "/v1/refunds", "fault": "error"}, trust_env=False).raise_for_status()
    order_id = op.order(sku, "tok_slow")
    until(lambda: op.status_of(order_id) == "RESERVED", "the charge under way")
    with op.stack.client("order") as client:
        client.post(f"/v1/orders/{order_id}/cancel", headers={"Idempotency-Key": order_id}).raise_for_status()
    status = "SELECT status FROM payments WHERE order_id = %s"
    yield lambda: op.sql("payment", status, order_id) == [("REFUNDING",)]
    op.done("settle", "--service", "payment", order_id, "--paid-elsewhere", "bank 17", "--execute", *WHY)
    yield lambda: op.status_of(order_id) == "CANCELLED"


@situation(
    "one database restored in place",
    signal="the log of notification.relay, outbox verify",
    remedy="outbox acknowledge, outbox replay",
)
def database_restored(op: Operator) -> Generator[Look]:
    sku = op.product()
    before = {one["place"] for one in faults(op)}
    dump = op.stage.folder.postgres.parent / "notification.dump"
    url = op.stack.database("notification")
    run_as_user(postgres.programs() / "pg_dump", "-Fc", "-f", dump, url)
    order_id = op.order(sku)
    assert op.at_rest(order_id) == "CONFIRMED"
    notified = "SELECT 1 FROM notifications WHERE order_id = %s"
    until(lambda: op.sql("notification", notified, order_id), "the notification")
    programs = [name for name in parts.names() if name.startswith("notification.")]
    op.stop(*programs)
    run_as_user(postgres.programs() / "pg_restore", "--clean", "--if-exists", "-d", url, dump)
    op.start(*programs)
    new = {"ghost", "not received"}
    yield lambda: {one["kind"] for one in faults(op) if one["place"] not in before} == new
    op.done("acknowledge", "--service", "notification", "--all", "--execute", *WHY)
    for writer in ("order", "payment"):
        to = ("--to-consumer", "notification_service", "--with-effects")
        op.outbox("replay", "--service", writer, "--since", "1h", *to, "--execute", *WHY)
    yield lambda: op.sql("notification", notified, order_id) and not {one["place"] for one in faults(op)} - before
