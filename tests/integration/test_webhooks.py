"""Deliveries to customers' webhooks, by the real worker over HTTP: at least once, and given up in the end."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
import pytest
from django.db import connection

from devstack.harness.databases import ServiceDatabase
from devstack.harness.stack import CHECKOUT
from devstack.harness.wait import wait_until
from notification_service import receiver
from notification_service.domain import DeleteWebhook, DisableWebhook, Kind, Notify, Redeliver, RegisterWebhook
from notification_service.models import DeliveryRow, SubscriberRow, WebhookTargetRow
from notification_service.service import service
from tests.support.databases import in_use
from tests.support.receivers import receiving
from tests.support.relays import _free_port as free_port
from waybill.consumer.housekeeping import clean
from waybill.deciders.outcomes import CommandRefused
from waybill.deciders.unit_of_work import Caused, handle
from waybill.observability.telemetry import Cause, new_id
from waybill.runtime.settings import settings
from waybill.tasks import deadlines

CUSTOMER = "ann"
QUICK = {
    "WAYBILL_ENVIRONMENT": "development",
    "WAYBILL_WEBHOOK_ALLOW_HTTP": "true",
    "WAYBILL_WEBHOOK_ALLOW_PRIVATE": "true",
    "WAYBILL_WEBHOOK_RETRY_SECONDS": "0.05",
    "WAYBILL_WEBHOOK_TIMEOUT_SECONDS": "2",
    "WAYBILL_SMTP_PORT": "1",  # no mail in these tests
}


@pytest.fixture
def database(database_server) -> Iterator[ServiceDatabase]:
    """A fresh database of the notification service, as this process's Django database."""
    with database_server.fresh("notification_service") as fresh, in_use(fresh.service_url):
        yield fresh


@contextmanager
def working(database: ServiceDatabase, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service's worker as a program."""
    told = {"WAYBILL_DATABASE_URL": database.service_url, "WAYBILL_PORT": str(free_port()), **QUICK, **environment}
    program = [sys.executable, "-m", "waybill", "notification_service", "worker"]
    process = subprocess.Popen(program, cwd=CHECKOUT, env={**os.environ, **told}, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def do(*commands: object) -> None:
    handle(service, [Caused(command, Cause(new_id())) for command in commands])


def webhook_at(url: str) -> UUID:
    webhook_id = UUID(new_id())
    do(RegisterWebhook(customer_id=CUSTOMER, webhook_id=webhook_id, kinds=tuple(Kind), limit=10))
    secret = receiver.new_secret()
    WebhookTargetRow.objects.create(webhook_id=webhook_id, customer_id=CUSTOMER, url=url, secret=secret)
    return webhook_id


def tell() -> None:
    do(Notify(order_id=UUID(new_id()), customer_id=CUSTOMER, kind=Kind.ORDER_CONFIRMED))


def standing() -> list[tuple[str, str | None]]:
    return list(DeliveryRow.objects.order_by("delivery_id").values_list("status", "code"))


def until(*expected: tuple[str, str | None]) -> None:
    seen: list[object] = []

    def there() -> bool:
        seen[:] = standing()
        return seen == list(expected)

    wait_until(there, deadline_seconds=60, what=f"deliveries {expected}", seen=seen)


def webhook(webhook_id: UUID) -> tuple[str, str | None]:
    of = SubscriberRow.objects.get(pk=CUSTOMER).webhooks[str(webhook_id)]
    return of["status"], of["disabled_by"]


def attention() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM waybill_due_task WHERE task = 'deliver' AND attention_since IS NOT NULL")
        return cursor.fetchone()[0]


def test_a_delivery_that_fails_is_tried_again_under_the_same_id_until_the_receiver_has_it(database):
    with receiving(500, 503, 302, 200) as customer:
        webhook_id = webhook_at(customer.url)
        tell()
        with working(database, WAYBILL_ATTENTION_AFTER="PT0.001S"):
            until(("DELIVERED", None))
    assert len(customer.requests) == 4
    assert len(set(customer.message_ids)) == 1
    assert len({request.body for request in customer.requests}) == 1
    assert webhook(webhook_id) == ("ENABLED", None)


def test_a_worker_killed_in_a_delivery_leaves_it_to_be_made_again_under_the_same_id(database, tmp_path):
    (tmp_path / "notification_service.worker.answered").write_text("kill")
    armed = {"WAYBILL_FAIL_POINTS": str(tmp_path), "WAYBILL_SERVICE": "notification_service"}
    short = {"WAYBILL_WORKER_ATTEMPT_SECONDS": "0.5", "WAYBILL_WORKER_LEASE_SECONDS": "1"}
    with receiving() as customer:
        webhook_at(customer.url)
        do(Notify(order_id=UUID(new_id()), customer_id=CUSTOMER, kind=Kind.ORDER_CONFIRMED))
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM waybill_due_task WHERE task = 'send'")  # its attempt would meet the point
        with working(database, **armed, **short) as process:
            assert process.wait(60) == -9
        assert standing() == [("PENDING", None)]
        with working(database, **short):
            until(("DELIVERED", None))
    assert len(customer.requests) == 2
    assert len(set(customer.message_ids)) == 1


def test_a_receiver_that_is_gone_disables_its_webhook_and_is_not_called_again(database):
    with receiving(410) as customer:
        webhook_id = webhook_at(customer.url)
        tell()
        with working(database):
            until(("FAILED", "http_410"))
        assert webhook(webhook_id) == ("DISABLED", "gone")
        tell()
        assert len(standing()) == 1
    assert len(customer.requests) == 1


def test_a_delivery_is_given_up_after_its_time_and_a_webhook_that_took_none_is_disabled(database):
    """Meanwhile its customer sees the tries, no operator is called; what waits behind it ends too."""
    with receiving(500) as customer:
        webhook_id = webhook_at(customer.url)
        tell()
        (row,) = DeliveryRow.objects.all()
        with working(database, WAYBILL_WEBHOOK_RETRY_FOR="PT2S", WAYBILL_ATTENTION_AFTER="PT0.001S"):
            wait_until(lambda: len(customer.requests) >= 2, deadline_seconds=60, what="tried again")
            wait_until(
                lambda: (told := waiting(row)) is None or told.reason == "http_500", deadline_seconds=30, what="why"
            )
            assert attention() == 0
            until(("FAILED", "http_500"))
    assert webhook(webhook_id) == ("DISABLED", "failing")


def waiting(row: DeliveryRow) -> deadlines.Waiting | None:
    return deadlines.waiting("deliver", "delivery", [str(row.pk)]).get(str(row.pk))


@pytest.mark.parametrize(("end", "code"), [(DisableWebhook, "webhook_disabled"), (DeleteWebhook, "webhook_deleted")])
def test_what_is_under_way_to_a_webhook_that_takes_none_any_more_ends(database, end, code):
    with receiving() as customer:
        webhook_id = webhook_at(customer.url)
        tell()
        do(end(customer_id=CUSTOMER, webhook_id=webhook_id))
        if end is DeleteWebhook:
            WebhookTargetRow.objects.all().delete()
        with working(database):
            until(("FAILED", code))
    assert customer.requests == []


def test_a_delivery_is_made_again_under_the_same_id_where_the_customer_asks(database):
    with receiving() as customer:
        webhook_id = webhook_at(customer.url)
        tell()
        with working(database):
            until(("DELIVERED", None))
            (row,) = DeliveryRow.objects.all()
            do(Redeliver(customer_id=CUSTOMER, webhook_id=webhook_id, delivery_id=row.delivery_id))
            wait_until(lambda: len(customer.requests) == 2, deadline_seconds=30, what="delivered again")
            until(("DELIVERED", None))
    assert len(set(customer.message_ids)) == 1


def test_every_row_is_the_fold_of_its_events(database):
    with receiving(410) as customer:
        for _ in range(3):
            webhook_at(customer.url)
        tell()
        with working(database):
            until(*[("FAILED", "http_410")] * 3)
    assert_rows_are_the_fold_of_their_events(database)


def test_deliveries_that_ended_long_ago_are_removed_and_no_check_misses_them(database):
    with receiving(200, 200, 200) as customer:
        webhook_id = webhook_at(customer.url)
        for _ in range(3):
            tell()
        with working(database):
            until(*[("DELIVERED", None)] * 3)
    tell()
    old, young, locked, pending = DeliveryRow.objects.order_by("created_at")
    with psycopg.connect(database.superuser_url) as somebody:
        backdate = "UPDATE deliveries SET updated_at = now() - interval '31 days' WHERE delivery_id = ANY (%s)"
        somebody.execute(backdate, [[old.pk, locked.pk, pending.pk]])
        somebody.commit()
        somebody.execute("SELECT FROM deliveries WHERE delivery_id = %s FOR UPDATE", [locked.pk])
        clean(service, settings())
    assert {row.pk for row in DeliveryRow.objects.all()} == {young.pk, locked.pk, pending.pk}
    with pytest.raises(CommandRefused, match="there is no delivery"):
        do(Redeliver(customer_id=CUSTOMER, webhook_id=webhook_id, delivery_id=old.pk))
    assert_rows_are_the_fold_of_their_events(database)
    DeliveryRow.objects.filter(pk=pending.pk).delete()
    with pytest.raises(AssertionError):
        assert_rows_are_the_fold_of_their_events(database)


def assert_rows_are_the_fold_of_their_events(database: ServiceDatabase) -> None:
    environment = {**os.environ, "WAYBILL_DATABASE_URL": database.service_url}
    program = [sys.executable, "-m", "waybill", "notification_service", "rebuild"]
    done = subprocess.run(program, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "row_differs" not in done.stdout
