"""What is due at the mail server and at customers' receivers; between transactions, never inside one.

A replay sends nothing by itself.
"""

import random
from typing import Final

from django.utils import timezone

from notification_service import mailer, receiver
from notification_service.domain import (
    GONE,
    DeliveryStatus,
    Kind,
    RecordDelivery,
    RecordDeliveryFailure,
    RecordFailure,
    RecordSent,
    Status,
    Stopped,
    Told,
    WebhookStatus,
)
from notification_service.models import ContactRow, DeliveryRow, SubscriberRow, WebhookTargetRow, to_state
from notification_service.settings import NotificationSettings
from schemas.events import DeliveryRequested, NotificationRequested
from waybill.database import rows
from waybill.deciders.outcomes import RetryLater
from waybill.deciders.service import Tried, after
from waybill.runtime.settings import read

LONGEST_WAIT_SECONDS: Final = 6 * 3600.0


def suppress(_: Told, asked: NotificationRequested, __: Tried) -> RecordFailure:
    """Note that the customer is not told: history was replayed, and they have lived through it."""
    return RecordFailure(order_id=asked.order_id, kind=Kind(asked.kind), code="suppressed_on_replay")


def leave_unsent(_: Told, asked: NotificationRequested, __: Tried) -> RecordFailure:
    """Note that an operator cancelled the mail: the notification ends, and can be seen as unsent."""
    return RecordFailure(order_id=asked.order_id, kind=Kind(asked.kind), code=Stopped.CANCELLED_BY_OPERATOR)


@after(
    NotificationRequested,
    on_replay=suppress,
    on_cancel=leave_unsent,
    remediation="bring the mail server back; the mail goes out by itself",
)
def send(told: Told, asked: NotificationRequested, _: Tried) -> RecordSent | RecordFailure | None:
    """Hand the mail to the mail server, unless that is settled."""
    kind = Kind(asked.kind)
    if told.notice(kind) is not Status.PENDING:
        return None
    contact = next(iter(rows.load(ContactRow, [asked.customer_id], lock=False)), None)
    if contact is None:
        return RecordFailure(order_id=asked.order_id, kind=kind, code="no_address")
    if refusal := mailer.send(contact.email, asked):
        return RecordFailure(order_id=asked.order_id, kind=kind, code=refusal)
    return RecordSent(order_id=asked.order_id, kind=kind)


def suppress_delivery(_: Told, asked: DeliveryRequested, __: Tried) -> RecordDeliveryFailure:
    """Note that nothing is delivered: history was replayed."""
    return _ended(asked, Stopped.SUPPRESSED_ON_REPLAY)


def leave_undelivered(_: Told, asked: DeliveryRequested, __: Tried) -> RecordDeliveryFailure:
    """Note that an operator cancelled the delivery; the customer may ask for it again."""
    return _ended(asked, Stopped.CANCELLED_BY_OPERATOR)


@after(DeliveryRequested, on_replay=suppress_delivery, on_cancel=leave_undelivered, long_retries=True)
def deliver(told: Told, asked: DeliveryRequested, tried: Tried) -> RecordDelivery | RecordDeliveryFailure | None:
    """Send the message to the customer's receiver, unless that is settled or the webhook takes none."""
    delivery = told.deliveries[asked.delivery_id]
    if delivery.status is not DeliveryStatus.PENDING:
        return None
    target = WebhookTargetRow.objects.filter(pk=asked.webhook_id).first()
    if target is None:
        return _ended(asked, Stopped.WEBHOOK_DELETED)
    if _status(asked) is not WebhookStatus.ENABLED:
        return _ended(asked, Stopped.WEBHOOK_DISABLED)
    (row,) = rows.load(DeliveryRow, [asked.delivery_id], lock=False)
    secrets = [target.secret]
    if target.previous_secret and target.previous_valid_until > timezone.now():
        secrets.append(target.previous_secret)
    failed = receiver.deliver(target.url, secrets, delivery, row.created_at)
    if failed is None:
        return RecordDelivery(delivery_id=asked.delivery_id, customer_id=asked.customer_id, webhook_id=asked.webhook_id)
    left = read(NotificationSettings).webhook_retry_for.total_seconds() - tried.seconds
    if failed.code == GONE or left <= 0:
        return _ended(asked, failed.code)
    raise RetryLater(failed.code, min(_wait_seconds(tried, failed), max(left, 1)))


def _ended(asked: DeliveryRequested, code: str) -> RecordDeliveryFailure:
    return RecordDeliveryFailure(
        delivery_id=asked.delivery_id, customer_id=asked.customer_id, webhook_id=asked.webhook_id, code=code
    )


def _status(asked: DeliveryRequested) -> WebhookStatus:
    found = rows.load(SubscriberRow, [asked.customer_id], lock=False)
    return to_state({"subscriber": {row.pk: row for row in found}}).webhook(asked.webhook_id)


def _wait_seconds(tried: Tried, failed: receiver.Failed) -> float:
    """Return the pause before the next try, with jitter: what failed together is not tried together."""
    first = read(NotificationSettings).webhook_retry_seconds
    backoff = first * 4.0 ** min(tried.times - 1, 10)
    asked = max(backoff, failed.retry_after_seconds)
    return min(asked, LONGEST_WAIT_SECONDS) * random.uniform(0.75, 1.25)  # noqa: S311 - nobody gains by guessing it  # nosec B311
