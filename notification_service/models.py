"""Notifications by order, and the customers' contact addresses."""

from collections.abc import Iterator
from typing import ClassVar

from django.db import models

from notification_service.domain import Channel, Kind, Notice, Notices, Status
from waybill.deciders.service import Rows
from waybill.models import AggregateRow


class NotificationRow(AggregateRow):
    """What one order's customer has been told; `notices` is kind → status, channel, reason, code."""

    aggregate_type: ClassVar = "notification"

    order_id = models.UUIDField(primary_key=True)
    customer_id = models.TextField()
    notices = models.JSONField()

    class Meta:
        db_table = "notifications"


class ContactRow(models.Model):
    """Where a customer can be reached. Personal data: stands here and nowhere else."""

    customer_id = models.TextField(primary_key=True)
    email = models.EmailField()

    class Meta:
        db_table = "contacts"


def to_state(rows: Rows) -> Notices:
    """Return the notifications that the one row, or its absence, says."""
    ((order_id, row),) = rows["notification"].items()
    if row is None:
        return Notices(order_id=order_id)
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


def to_rows(state: Notices) -> Iterator[NotificationRow]:
    """Return the row that holds the state."""
    notices = {
        kind: {"status": notice.status, "channel": notice.channel, "reason": notice.reason, "code": notice.code}
        for kind, notice in state.of.items()
    }
    yield NotificationRow(order_id=state.order_id, customer_id=state.customer_id, notices=notices)
