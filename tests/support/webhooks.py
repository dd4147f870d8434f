"""Deliveries of an order to its customer's webhooks, in a notification service's database."""

from uuid import UUID

from devstack.harness.databases import ServiceDatabase
from notification_service.domain import Kind, Notify, RegisterWebhook
from notification_service.models import DeliveryRow
from notification_service.service import service as notifications
from tests.support.databases import in_use
from tests.support.orders import cause
from tests.support.outbox_command import execute
from waybill.deciders.unit_of_work import Caused, handle
from waybill.observability.telemetry import new_id

TRIED = (
    "UPDATE waybill_due_task SET attempts = 3, last_error = 'status_500', first_attempt_at = clock_timestamp(), "
    "due_at = '2026-05-04T12:00:00Z' WHERE event_id = (SELECT event_id FROM waybill_outbox WHERE event_type "
    "LIKE '%%DeliveryRequested' AND aggregate_id = %s)"
)


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


def tried_three_times(database: ServiceDatabase, delivery_id: UUID) -> None:
    """Let three attempts of a delivery fail."""
    execute(database, TRIED, str(delivery_id))
