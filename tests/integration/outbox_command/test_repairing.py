"""A replay repairs what was lost, and does no harm where nothing was: proved by `verify`, and on the whole system."""

from uuid import UUID

import psycopg
import pytest

from devstack.harness.stack import Stack
from devstack.harness.wait import wait_until
from devstack.services import SERVICES
from tests.support.outbox_command import join, outbox, settings
from tests.support.relays import Outbox, append, relay
from tests.support.shop import Shop

WHY = ["--execute", "--reason", "the broker lost its tail"]


def test_a_lost_event_is_repaired_by_a_replay_to_all_and_not_by_one_to_a_single_group(own_outbox: Outbox):
    with own_outbox.connect() as writer, relay(own_outbox):
        for version in (1, 2):
            append(writer, own_outbox.topic, "a", version)
        own_outbox.wait_for_cursor(2)
    with own_outbox.connect() as writer:
        append(writer, own_outbox.topic, "a", 3)
        own_outbox.execute(
            "UPDATE waybill_outbox_cursor SET position = 3"
        )  # acknowledged, and gone with the broker's tail
        append(writer, own_outbox.topic, "a", 4)
        with relay(own_outbox):
            own_outbox.wait_for_cursor(4)
    join(own_outbox.kafka, "billing", own_outbox.topic)
    here = settings(own_outbox.kafka, shop=own_outbox.database.service_url)  # no topics but its own

    def verified() -> tuple[int, int, int, int]:
        counts = outbox("verify", "--no-rows", "--json", **here).lines()[-1]
        return counts["lost"], counts["reordered"], counts["repeated"], counts["replayed"]

    ((lost,),) = own_outbox.execute("SELECT event_id FROM waybill_outbox WHERE position = 3")
    assert verified() == (1, 0, 0, 0)
    assert outbox("replay", "--event", str(lost), "--to-consumer", "billing", *WHY, **here).code == 0
    assert verified() == (1, 0, 0, 1)
    assert outbox("replay", "--event", str(lost), *WHY, **here).code == 0
    assert verified() == (0, 0, 0, 2)
    assert outbox("replay", "--positions", "1..", *WHY, **here).code == 0
    assert verified() == (0, 0, 0, 6)


@pytest.fixture
def shop(stack: Stack):
    """A shop on the whole system."""
    staff = stack.client("inventory", stack.state["tokens"]["staff"])
    with stack.client("order") as customer, staff, stack.client("notification") as client:
        client.put("/v1/contacts/me", json={"email": "demo@example.com"})
        yield Shop(stack, customer, staff)


def positions(stack: Stack, order_id: str, services: tuple[str, ...]) -> dict[str, int]:
    """How many events of the order each service has recorded."""
    found = {}
    for service in services:
        with psycopg.connect(stack.database(service)) as session:
            query = "SELECT count(*) FROM waybill_outbox WHERE aggregate_id = %s"
            found[service] = session.execute(query, [order_id]).fetchone()[0]
    return found


def handled_again(stack: Stack, service: str, job: str) -> int:
    with psycopg.connect(stack.database(service)) as session:
        query = "SELECT count(*) FROM received WHERE status = 2 AND msg_id LIKE %s"
        return session.execute(query, [f"{service}_service:%:{UUID(job).hex}"]).fetchone()[0]


def test_an_order_replayed_to_all_and_again_to_one_group_changes_nothing(shop: Shop):
    stack, home = shop.stack, {"WAYBILL_HOME": str(shop.stack.home)}
    sku = shop.product(3)
    order = shop.order(sku, 2)
    assert shop.at_rest(order)["status"] == "CONFIRMED"
    shop.settled(sku, 1)
    shop.until(lambda: len(shop.mails(order)) == 1, "the customer is told")
    services = tuple(SERVICES)
    before = positions(stack, order["id"], services)
    to_all = outbox("replay", "--aggregate", order["id"], "--json", *WHY, **home)
    assert to_all.code == 0, to_all.err
    assert sum(job["sent"] for job in to_all.lines()) > 4
    to_one = ["--service", "order", "--to-consumer", "notification_service", "--reprocess"]
    (again,) = outbox("replay", "--aggregate", order["id"], "--json", *to_one, *WHY, **home).lines()
    # Its records stand behind the others of their key, so these have been met when it has.
    wait_until(
        lambda: handled_again(stack, "notification", again["job"]) == 1,
        deadline_seconds=30,
        what="OrderConfirmed is handled again",
    )
    assert positions(stack, order["id"], services) == before
    assert shop.stock(sku) == (1, 0)
    assert len(shop.mails(order)) == 1
    assert shop.ledger(order) == [("charge", "charged")]
    assert outbox("verify", "--no-rows", "--service", "order", **home).code == 0
