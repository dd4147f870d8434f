"""Notifications by order, the customers' webhooks and what is delivered there, and the customers' addresses."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.db import models
from django.db.models.functions import Now

from notification_service.domain import (
    Channel,
    Delivery,
    DeliveryStatus,
    DisabledBy,
    Kind,
    Notice,
    Notices,
    Status,
    Subscriber,
    Told,
    Webhook,
    WebhookStatus,
)
from notification_service.settings import NotificationSettings
from waybill.database.sealing import SealedText
from waybill.deciders.service import Rows
from waybill.models import AggregateRow
from waybill.runtime.settings import read


class NotificationRow(AggregateRow):
    """What one order's customer has been told; `notices` is kind → status, channel, reason, code."""

    aggregate_type: ClassVar = "notification"

    order_id = models.UUIDField(primary_key=True)
    customer_id = models.TextField()
    notices = models.JSONField()

    class Meta:
        db_table = "notifications"
        indexes: ClassVar = [
            models.Index(fields=["customer_id", "-order_id"], name="notifications_of_customer"),
            models.Index(fields=["created_at"], name="notifications_by_time"),
        ]


class SubscriberRow(AggregateRow):
    """One customer's webhooks; `webhooks` is id → status, kinds, disabled_by, unanswered."""

    aggregate_type: ClassVar = "subscriber"

    customer_id = models.TextField(primary_key=True)
    webhooks = models.JSONField()

    class Meta:
        db_table = "subscribers"


class DeliveryRow(AggregateRow):
    """One message to one webhook."""

    aggregate_type: ClassVar = "delivery"
    open_statuses: ClassVar = (DeliveryStatus.PENDING,)
    end_statuses: ClassVar = (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED)

    delivery_id = models.UUIDField(primary_key=True)
    customer_id = models.TextField()
    webhook_id = models.UUIDField()
    order_id = models.UUIDField()
    kind = models.TextField()
    status = models.TextField()
    code = models.TextField(null=True)

    class Meta:
        db_table = "deliveries"
        indexes: ClassVar = [
            models.Index(fields=["webhook_id", "-delivery_id"], name="deliveries_of_webhook"),
            models.Index(fields=["order_id"], name="deliveries_of_order"),
            models.Index(fields=["status"], name="deliveries_open", condition=models.Q(status__in=["PENDING"])),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="deliveries_status", condition=models.Q(status__in=[s.value for s in DeliveryStatus])
            ),
        ]

    @classmethod
    def kept(cls) -> timedelta:
        """Return for how long a customer may look at it."""
        return read(NotificationSettings).webhook_deliveries_kept


class ContactRow(models.Model):
    """Where a customer can be reached. Personal data: stands here and nowhere else."""

    customer_id = models.TextField(primary_key=True)
    email = models.EmailField()

    class Meta:
        db_table = "contacts"


class WebhookTargetRow(models.Model):
    """Where a webhook leads and how its messages are signed: stands here and nowhere else.

    While `previous_secret` is valid, messages are signed with both.
    """

    webhook_id = models.UUIDField(primary_key=True)
    customer_id = models.TextField()
    url = models.TextField()
    secret = SealedText()
    previous_secret = SealedText(null=True)
    previous_valid_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "webhook_targets"
        indexes: ClassVar = [models.Index(fields=["customer_id"], name="webhook_targets_of_customer")]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="webhook_targets_previous",
                condition=models.Q(previous_secret__isnull=True, previous_valid_until__isnull=True)
                | models.Q(previous_secret__isnull=False, previous_valid_until__isnull=False),
            ),
        ]


def to_state(rows: Rows) -> Told:
    """Return what these rows, or their absence, say."""
    notices, subscriber = None, None
    for order_id, row in rows.get("notification", {}).items():
        notices = Notices(order_id=order_id) if row is None else _notices(row)
    for customer_id, row in rows.get("subscriber", {}).items():
        subscriber = Subscriber(customer_id=customer_id) if row is None else _subscriber(row)
    found = {key: _delivery(row) for key, row in rows.get("delivery", {}).items() if row is not None}
    return Told(notices=notices, subscriber=subscriber, deliveries=found)


def to_rows(state: Told) -> Iterator[AggregateRow]:
    """Return the rows that hold the state; whoever was told nothing has none, nor has who never had a webhook."""
    if state.notices is not None and state.notices.of:
        yield NotificationRow(
            order_id=state.notices.order_id,
            customer_id=state.notices.customer_id,
            notices={kind: _plain(notice) for kind, notice in state.notices.of.items()},
        )
    if state.subscriber is not None and state.subscriber.known:
        webhooks = {str(webhook_id): _plain(webhook) for webhook_id, webhook in state.subscriber.webhooks.items()}
        yield SubscriberRow(customer_id=state.subscriber.customer_id, webhooks=webhooks)
    for delivery in state.deliveries.values():
        yield DeliveryRow(
            delivery_id=delivery.delivery_id,
            customer_id=delivery.customer_id,
            webhook_id=delivery.webhook_id,
            order_id=delivery.order_id,
            kind=delivery.kind,
            status=delivery.status,
            code=delivery.code,
        )


def _plain(of: Notice | Webhook) -> Mapping[str, Any]:
    if isinstance(of, Notice):
        return {"status": of.status, "channel": of.channel, "reason": of.reason, "code": of.code}
    return {
        "status": of.status,
        "kinds": list(of.kinds),
        "disabled_by": of.disabled_by,
        "unanswered": of.unanswered and str(of.unanswered),
    }


def _notices(row: NotificationRow) -> Notices:
    return Notices(
        order_id=row.order_id,
        customer_id=row.customer_id,
        of={
            Kind(kind): Notice(
                status=Status(notice["status"]),
                channel=Channel(notice["channel"]),
                reason=notice["reason"],
                code=notice["code"],
            )
            for kind, notice in row.notices.items()
        },
    )


def _subscriber(row: SubscriberRow) -> Subscriber:
    webhooks = {
        UUID(webhook_id): Webhook(
            status=WebhookStatus(of["status"]),
            kinds=tuple(map(Kind, of["kinds"])),
            disabled_by=of["disabled_by"] and DisabledBy(of["disabled_by"]),
            unanswered=of["unanswered"] and UUID(of["unanswered"]),
        )
        for webhook_id, of in row.webhooks.items()
    }
    return Subscriber(customer_id=row.customer_id, known=True, webhooks=webhooks)


def _delivery(row: DeliveryRow) -> Delivery:
    return Delivery(
        delivery_id=row.delivery_id,
        customer_id=row.customer_id,
        webhook_id=row.webhook_id,
        order_id=row.order_id,
        kind=Kind(row.kind),
        status=DeliveryStatus(row.status),
        code=row.code,
    )
