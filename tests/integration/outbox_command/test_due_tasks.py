"""What is due is listed, and an operator may move or cancel only what its task says is safe."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from devstack.harness.databases import Server, ServiceDatabase
from notification_service.domain import Kind, Notify
from notification_service.service import service as notification
from order_service.service import service as orders
from payment_service.domain import RequestPayment
from payment_service.service import service as payment
from tests.support.databases import in_use
from tests.support.orders import cause
from tests.support.outbox_command import Ended, execute, outbox, place_orders, settings
from waybill.deciders import unit_of_work
from waybill.deciders.outcomes import CommandRefused
from waybill.deciders.unit_of_work import Caused
from waybill.runtime.reports import CancelTaskRequest, RescheduleRequest
from waybill.tasks import changing

TOMORROW = datetime.now(UTC) + timedelta(days=1)
AUDIT = "SELECT operator, verb, reason, what->>'task' FROM waybill_operator_action"


def due() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, task, due_at, attempts FROM waybill_due_task ORDER BY id")
        return cursor.fetchall()


def attempted(attempts: int, seconds_left: float) -> int:
    """Let the one row have been claimed; returns its id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE waybill_due_task SET attempts = %s, due_at = clock_timestamp() + make_interval(secs => %s) "
            "RETURNING id",
            [attempts, seconds_left],
        )
        ((row,),) = cursor.fetchall()
    return row


def move(plan: Any, row: int, at: datetime | None = None, *, really: bool = True) -> Any:
    asked = RescheduleRequest(row, at.isoformat() if at else None, really, "ann", "why")
    return changing.reschedule(plan, asked)


def cancel(plan: Any, row: int, *, really: bool = True) -> Any:
    return changing.cancel(plan, CancelTaskRequest(row, really, "ann", "why"))


@pytest.fixture
def charge(database_server: Server) -> Iterator[int]:
    """The due charge of one payment, never attempted."""
    with database_server.fresh("payment_service") as database, in_use(database.service_url):
        command = RequestPayment(order_id=uuid4(), customer_id="ann", amount=5, currency="EUR", payment_method="tok_ok")
        unit_of_work.handle(payment, [Caused(command, cause())])
        ((row, task, _, _),) = due()
        assert task == "charge"
        yield row


@pytest.fixture
def mail(database_server: Server) -> Iterator[tuple[ServiceDatabase, int]]:
    """The due mail of one notification, never attempted."""
    with database_server.fresh("notification_service") as database, in_use(database.service_url):
        command = Notify(order_id=uuid4(), customer_id="ann", kind=Kind.ORDER_CONFIRMED)
        unit_of_work.handle(notification, [Caused(command, cause())])
        ((row, task, _, _),) = due()
        assert task == "send"
        yield database, row


def test_what_is_due_is_listed_by_filters_and_pages(order_database: ServiceDatabase):
    keys = list(map(str, place_orders(3)))

    def tasks(*arguments: str) -> Ended:
        return outbox("tasks", *arguments, **settings(order=order_database.service_url))

    found = tasks("--json").lines()
    assert [one["aggregate"] for one in found] == [f"order/{key}" for key in keys]
    assert {(one["task"], one["attempts"], one["last_error"]) for one in found} == {("expire_order", 0, None)}
    first = tasks("--limit", "2", "--json")
    assert "--service order --after " in first.err
    (last,) = tasks("--service", "order", "--after", first.lines()[-1]["after"], "--json").lines()
    assert last["aggregate"] == f"order/{keys[2]}"
    assert [one["aggregate"] for one in tasks("--key", keys[1], "--json").lines()] == [f"order/{keys[1]}"]
    assert tasks("--before", "10m").out == tasks("--failing").out == tasks("--attention").out == ""
    assert len(tasks("--before", "1h", "--task", "expire_order", "--json").lines()) == 3
    assert tasks("--service", "order", "--after", "yesterday").code == 2


def test_a_deadline_is_moved_by_the_services_own_program_on_record(order_database: ServiceDatabase):
    place_orders(1)
    ((row, _, before, _),) = due()
    asked = ["reschedule", str(row), "--service", "order", "--at", "2h"]
    places = settings(order=order_database.service_url)
    dry = outbox(*asked, "--json", **places)
    (told,) = dry.lines()
    assert (dry.code, told["task"], told["does"]) == (0, "expire_order", "Cancel what is still open.")
    assert due()[0][2] == before
    done = outbox(*asked, "--execute", "--reason", "the bank is away", "--by", "ann", **places)
    assert (done.code, "it is due then" in done.err) == (0, True)
    assert abs(due()[0][2] - datetime.now(UTC) - timedelta(hours=2)) < timedelta(minutes=1)
    assert execute(order_database, AUDIT) == [("ann", "reschedule", "the bank is away", "expire_order")]
    missing = outbox("reschedule", "99", "--service", "order", **places)
    assert (missing.code, "has no due task 99; nothing is changed" in missing.err) == (1, True)


def test_a_deadline_may_come_now_and_its_time_may_not_have_passed(order_database: ServiceDatabase):
    place_orders(1)
    ((row, *_),) = due()
    with pytest.raises(CommandRefused, match="has passed"):
        move(orders, row, datetime.now(UTC) - timedelta(seconds=1))
    move(orders, row)
    assert due()[0][2] <= datetime.now(UTC)
    assert execute(order_database, AUDIT) == [("ann", "reschedule", "why", "expire_order")]


def test_no_deadline_is_cancelled(order_database: ServiceDatabase):
    place_orders(1)
    ((row, *_),) = due()
    with pytest.raises(CommandRefused, match="would wait for ever"):
        cancel(orders, row)
    assert len(due()) == 1


def test_a_charge_is_never_cancelled_and_never_put_off(charge: int):
    with pytest.raises(CommandRefused, match="charge is not declared as one that may be cancelled"):
        cancel(payment, charge)
    with pytest.raises(CommandRefused, match="may be attempted now, and not put off"):
        move(payment, charge, TOMORROW)
    ((row, _, _, attempts),) = due()
    assert (row, attempts) == (charge, 0)


def test_nothing_is_tried_now_while_an_attempt_may_be_under_way(charge: int):
    attempted(1, seconds_left=15)
    with pytest.raises(CommandRefused, match=r"an attempt of charge of payment/.* may be under way"):
        move(payment, charge)
    attempted(8, seconds_left=59)  # its lease has ended: this is its backoff
    move(payment, charge)
    assert due()[0][2] <= datetime.now(UTC)


def test_a_mail_is_cancelled_as_a_notification_that_failed(mail: tuple[ServiceDatabase, int]):
    database, row = mail
    shown = cancel(notification, row, really=False)
    assert [one["type"] for one in shown.events] == ["NotificationFailed"]
    assert len(due()) == 1
    cancel(notification, row)
    assert due() == []
    ((payload,),) = execute(
        database, "SELECT convert_from(payload, 'UTF8') FROM waybill_outbox ORDER BY position DESC LIMIT 1"
    )
    assert "cancelled_by_operator" in payload
    assert execute(database, AUDIT) == [("ann", "cancel-task", "why", "send")]
    checked = outbox("rebuild", "--check", **settings(notification=database.service_url))
    assert (checked.code, checked.out) == (0, "")
    with pytest.raises(CommandRefused, match="has no due task"):
        cancel(notification, row)


def test_a_mail_that_may_be_handed_over_right_now_is_not_cancelled(mail: tuple[ServiceDatabase, int]):
    _, row = mail
    attempted(1, seconds_left=15)
    with pytest.raises(CommandRefused, match="may be under way"):
        cancel(notification, row)
    assert [one[1] for one in due()] == ["send"]
