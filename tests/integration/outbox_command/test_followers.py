"""One order's story has what the order led to beside its steps: each delivery, its attempts, what comes next."""

from uuid import UUID

import pytest

from devstack.harness.databases import ServiceDatabase
from notification_service.domain import Kind, Notify, RecordDelivery, RecordDeliveryFailure, RegisterWebhook
from notification_service.models import DeliveryRow
from notification_service.service import service as notifications
from tests.support.databases import in_use
from tests.support.orders import cause
from tests.support.outbox_command import execute, outbox, place_orders, settings
from waybill.deciders.unit_of_work import Caused, handle
from waybill.observability.telemetry import new_id

FAILED = (
    "UPDATE waybill_due_task SET attempts = 3, last_error = 'status_500', first_attempt_at = clock_timestamp(), "
    "due_at = '2026-05-04T12:00:00Z' WHERE event_id = (SELECT event_id FROM waybill_outbox WHERE event_type "
    "LIKE '%%DeliveryRequested' AND aggregate_id = %s)"
)


@pytest.fixture
def notification_database(database_server):
    """A fresh database of the notification service."""
    with database_server.fresh("notification_service") as database:
        yield database


def told_at_webhooks(database: ServiceDatabase, order_id: UUID, webhooks: int) -> list[tuple[UUID, UUID]]:
    """Let a customer have so many webhooks, and be told of the order; returns delivery and webhook of each."""
    with in_use(database.service_url):
        for _ in range(webhooks):
            register = RegisterWebhook(customer_id="ann", webhook_id=UUID(new_id()), kinds=tuple(Kind), limit=10)
            handle(notifications, [Caused(register, cause())])
        for other in (order_id, UUID(new_id())):  # one of another order is no part of the story
            told = Notify(order_id=other, customer_id="ann", kind=Kind.ORDER_CONFIRMED)
            handle(notifications, [Caused(told, cause())])
        rows = DeliveryRow.objects.filter(order_id=order_id).order_by("delivery_id")
        return list(rows.values_list("delivery_id", "webhook_id"))


def test_each_delivery_stands_in_the_orders_story(order_database: ServiceDatabase, notification_database):
    (order_id,) = place_orders(1)
    tried, done, gone = told_at_webhooks(notification_database, order_id, 3)
    execute(notification_database, FAILED, str(tried[0]))
    with in_use(notification_database.service_url):
        for command in (
            RecordDelivery(delivery_id=done[0], customer_id="ann", webhook_id=done[1]),
            RecordDeliveryFailure(delivery_id=gone[0], customer_id="ann", webhook_id=gone[1], code="status_410"),
        ):
            handle(notifications, [Caused(command, cause())])
    execute(notification_database, "DELETE FROM waybill_due_task WHERE attempts = 0")  # as the worker does
    places = settings(order=order_database.service_url, notification=notification_database.service_url)
    (story,) = outbox("order", str(order_id), "--json", **places).lines()
    by_key = {one["key"]: one for one in story["followers"]}
    assert set(by_key) == {str(one) for one, _ in (tried, done, gone)}
    assert {one["kind"] for one in story["followers"]} == {"delivery"}
    assert by_key[str(tried[0])]["stands"] == (
        "DeliveryRequested: deliver has failed 3 times (status_500) and is tried again at 2026-05-04T12:00:00Z"
    )
    assert [one["attempts"] for one in by_key[str(tried[0])]["due"]] == [3]
    assert by_key[str(done[0])]["stands"] == "DeliverySucceeded"
    assert by_key[str(gone[0])]["stands"] == "DeliveryFailed (status_410)"
    shown = outbox("order", str(order_id), **places).out
    assert "status_500" in shown
    assert str(gone[0]) in shown


def test_where_their_database_is_away_the_rest_is_told(order_database: ServiceDatabase):
    (order_id,) = place_orders(1)
    (story,) = outbox("order", str(order_id), "--json", **settings(order=order_database.service_url)).lines()
    assert (story["followers"], "notification" in story["away"]) == ([], True)
