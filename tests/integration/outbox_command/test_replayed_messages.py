"""What a consumer does with a replay: drops copies, passes another group's, handles again what it is told to."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2 as httpx
import psycopg
import pytest
from django_outbox_pattern.models import Received

from devstack.harness import databases
from devstack.harness.stack import CHECKOUT, Stack
from devstack.harness.wait import wait_until
from notification_service.models import ContactRow, NotificationRow
from notification_service.service import service as notifications
from order_service.models import PriceRow
from order_service.service import service as orders
from schemas.events import OrderConfirmed, ProductListed
from tests.support.databases import in_use
from tests.support.inbox import WRITERS, dead_letters, message
from tests.support.orders import placed
from tests.support.outbox_command import execute
from tests.support.relays import _free_port as free_port
from waybill.consumer import handling, schema_ids
from waybill.consumer.message import Message
from waybill.observability import metrics
from waybill.observability.telemetry import new_id
from waybill.runtime.settings import settings

LISTED = ProductListed(sku="LAMP", name="Lamp", unit_price=1000, currency="EUR")


def register(database: databases.ServiceDatabase) -> None:
    """Leave the schema ids as registration does."""
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        for schema_id, event in WRITERS.items():
            owner.execute("INSERT INTO waybill_schema_id VALUES (%s, 1, %s)", [event.event_type, schema_id])
    schema_ids._writers.cache_clear()


@pytest.fixture
def prices(order_database):
    """The order service's database, whose price list is a copy of products' events."""
    register(order_database)
    return order_database


@pytest.fixture
def notification_database(database_server):
    """A fresh database of the notification service, as this process's Django database."""
    with database_server.fresh("notification_service") as database, in_use(database.service_url):
        register(database)
        yield database


def process(*messages: Message) -> None:
    handling.process(orders, messages, settings())


def listed(event_id: str, **headers: str) -> Message:
    return message(LISTED, event_id=event_id, **headers)


def again(event_id: str, replay_id: str, group: str = "order_service") -> Message:
    """A record of a replay to one group, to be handled again."""
    return listed(event_id, ce_replayid=replay_id, ce_replaytarget=group, ce_replayreprocess="true")


def lose_price() -> None:
    PriceRow.objects.all().delete()


def price_is_there() -> bool:
    return PriceRow.objects.filter(pk="LAMP").exists()


def passed() -> float:
    return metrics.metric("consumer_passed_total")._value.get()


def test_a_copy_is_dropped_and_an_event_that_never_came_is_handled(prices):
    event_id = new_id()
    process(listed(event_id))
    lose_price()
    process(listed(event_id, ce_replayid=new_id()))
    assert not price_is_there()
    process(listed(new_id(), ce_replayid=new_id()))
    assert price_is_there()


def test_a_replay_to_another_group_is_passed_and_counted(prices):
    before = passed()
    process(again(new_id(), new_id(), "somebody_else"), listed(new_id(), ce_replaytarget="somebody_else"))
    assert not price_is_there()
    assert not Received.objects.exists()
    assert passed() - before == 2


def test_told_to_a_group_handles_an_event_again_once_a_replay(prices):
    event_id, first, second = new_id(), new_id(), new_id()
    process(listed(event_id))
    for replay_id, handled in [(first, True), (first, False), (second, True)]:
        lose_price()
        process(again(event_id, replay_id))
        assert price_is_there() is handled
    lose_price()
    process(listed(event_id))
    assert not price_is_there()


def test_an_event_first_met_in_a_replay_is_not_handled_a_second_time_by_itself(prices):
    together, apart = new_id(), new_id()
    process(again(together, new_id()), listed(together))
    process(again(apart, new_id()))
    lose_price()
    process(listed(apart), listed(together))
    assert not price_is_there()


def test_a_message_to_be_handled_again_becomes_a_dead_letter_like_any_other_though_its_event_was_received(prices):
    event_id, replay_id = new_id(), new_id()
    process(listed(event_id))
    broken = message(LISTED, event_id=event_id, value=b"no frame", **again(event_id, replay_id).headers)
    process(broken)
    assert [one["record"]["ce_replayid"] for one in dead_letters()] == [replay_id]


def test_one_to_be_handled_again_without_its_replay_becomes_a_dead_letter(prices):
    process(listed(new_id(), ce_replayreprocess="true", ce_replayid="latest"))
    assert "ce_replayid" in dead_letters()[0]["reason"]


def confirmed(**headers: str) -> Message:
    order = placed()
    event = OrderConfirmed(
        order_id=order.order_id, customer_id="ann", lines=order.lines, total=order.total, currency="EUR"
    )
    return message(event, **headers)


@contextmanager
def worker(database: databases.ServiceDatabase, stack: Stack) -> Iterator[None]:
    """Run the notification service's worker on the database, with the stack's mail server."""
    ports = json.loads((stack.home / "stack.json").read_text())["ports"]
    environment = {
        **os.environ,
        "WAYBILL_DATABASE_URL": database.service_url,
        "WAYBILL_PORT": str(free_port()),
        "WAYBILL_SMTP_PORT": str(ports["mailbox.smtp"]),
    }
    program = [sys.executable, "-m", "waybill", "notification_service", "worker"]
    process = subprocess.Popen(program, cwd=CHECKOUT, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait(10)


def status(order_id: str) -> tuple[str, str | None]:
    (notice,) = NotificationRow.objects.get(pk=order_id).notices.values()
    return notice["status"], notice["code"]


def test_a_replay_mails_no_customer_unless_it_was_told_to(notification_database, stack):
    ContactRow.objects.create(customer_id="ann", email="ann@example.com")
    silent = confirmed(ce_replayid=new_id())
    loud = confirmed(ce_replayid=new_id(), ce_replayeffects="true")
    plain = confirmed()
    handling.process(notifications, [silent, loud, plain], settings())
    with worker(notification_database, stack):
        due = "SELECT 1 FROM waybill_due_task"
        wait_until(lambda: not execute(notification_database, due), deadline_seconds=30, what="nothing is due")
    sent = ("SENT", None)
    assert [status(one.key) for one in (silent, loud, plain)] == [("FAILED", "suppressed_on_replay"), sent, sent]
    mails = httpx.get(f"{stack.urls['mailbox']}/messages", trust_env=False).json()["items"]
    told = {mail["headers"].get("X-Order-ID") for mail in mails}
    assert [one.key in told for one in (silent, loud, plain)] == [False, True, True]
