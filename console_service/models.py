"""The rows of the read model: one an order, one an event; and who is signed in. Rows without behaviour."""

from typing import Any, ClassVar, Final

from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models

OPEN_STATUSES: Final = ("PENDING", "RESERVED", "CHARGED", "CANCELLING")
OPEN: Any = models.Q(status__in=[*OPEN_STATUSES])


class OrderRow(models.Model):
    """One order, as its events tell; empty texts where the event that tells is not read yet."""

    order_id = models.UUIDField(primary_key=True)
    customer_id = models.TextField(null=True)
    status = models.TextField(default="")
    step_since = models.DateTimeField(null=True)
    version = models.IntegerField(default=0)
    placed_at = models.DateTimeField(null=True)
    total = models.BigIntegerField(null=True)
    currency = models.TextField(null=True)
    reason = models.TextField(null=True)
    stock = models.TextField(default="")
    stock_version = models.IntegerField(default=0)
    payment = models.TextField(default="")
    payment_version = models.IntegerField(default=0)
    last_event_at = models.DateTimeField()

    class Meta:
        db_table = "console_order"
        indexes: ClassVar = [
            models.Index(fields=["-placed_at", "-order_id"], name="console_order_placed"),
            models.Index(fields=["status", "-placed_at", "-order_id"], name="console_order_status"),
            models.Index(fields=["customer_id", "-placed_at", "-order_id"], name="console_order_customer"),
            # What waits, longest first; and all that is counted on the overview.
            models.Index(fields=["step_since", "order_id"], name="console_order_open", condition=OPEN),
            models.Index(fields=["last_event_at"], name="console_order_old", condition=~OPEN),
        ]


class EventRow(models.Model):
    """One event, and where on its topic it stands. `detail` is a line for people; payloads are not kept."""

    event_id = models.UUIDField(primary_key=True)
    event_type = models.TextField()
    service = models.TextField()
    aggregate_type = models.TextField()
    aggregate_id = models.TextField()
    version = models.IntegerField()
    order_id = models.UUIDField(null=True)
    topic = models.TextField()
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    recorded_at = models.DateTimeField()
    correlation_id = models.TextField(default="")
    causation_id = models.TextField(default="")
    detail = models.TextField(default="")

    class Meta:
        db_table = "console_event"
        indexes: ClassVar = [
            models.Index(fields=["order_id", "recorded_at"], name="console_event_of_order"),
            models.Index(fields=["recorded_at"], name="console_event_old"),
        ]


class SignedIn(AbstractBaseSession):
    """Who is signed in: Django's session, in a table of the console's own."""

    class Meta:
        db_table = "console_session"
