"""One order's story has what the order led to beside its steps: each delivery, its attempts, what comes next."""

import pytest

from devstack.harness.databases import ServiceDatabase
from notification_service.domain import RecordDelivery, RecordDeliveryFailure
from notification_service.service import service as notifications
from tests.support.databases import in_use
from tests.support.orders import cause
from tests.support.outbox_command import execute, outbox, place_orders, settings
from tests.support.webhooks import told_at_webhooks, tried_three_times
from waybill.deciders.unit_of_work import Caused, handle


@pytest.fixture
def notification_database(database_server):
    """A fresh database of the notification service."""
    with database_server.fresh("notification_service") as database:
        yield database


def test_each_delivery_stands_in_the_orders_story(order_database: ServiceDatabase, notification_database):
    (order_id,) = place_orders(1)
    tried, done, gone = told_at_webhooks(notification_database, order_id, 3)
    tried_three_times(notification_database, tried[0])
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
