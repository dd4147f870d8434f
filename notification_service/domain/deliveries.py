"""Deliveries to webhooks, from the news to the receiver's answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from notification_service.domain.state import (
    GONE,
    Delivery,
    DeliveryStatus,
    DisabledBy,
    Kind,
    NotificationCode,
    Stopped,
    Subscriber,
    Told,
    WebhookStatus,
)
from notification_service.domain.webhooks import WebhookCommand
from schemas.events import (
    DeliveryFailed,
    DeliveryRequested,
    DeliverySucceeded,
    WebhookDisabled,
)
from waybill.deciders.outcomes import Code, Decision, Ignored, NotFound, Refused


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryCommand(WebhookCommand):
    """Ask something of one delivery to a webhook."""

    delivery_id: UUID

    def rows(self) -> Mapping[str, Sequence[UUID | str]]:
        """Name the delivery, then the customer's webhooks."""
        return {"delivery": (self.delivery_id,), "subscriber": (self.customer_id,)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Redeliver(DeliveryCommand):
    """Deliver it again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordDelivery(DeliveryCommand):
    """Note that the receiver has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordDeliveryFailure(DeliveryCommand):
    """Note that it is not tried any more; `code` is what the last try met, or one of `Stopped`."""

    code: str


DeliveryCommands = Redeliver | RecordDelivery | RecordDeliveryFailure
DeliveryEvent = DeliveryRequested | DeliverySucceeded | DeliveryFailed


def decide(command: DeliveryCommands, told: Told) -> Decision:
    """Return what follows for the delivery, and for its webhook."""
    match command, told.delivery(command.delivery_id):
        case Redeliver(), DeliveryStatus.DELIVERED | DeliveryStatus.FAILED:
            return _redelivered(command, told)
        case Redeliver(), DeliveryStatus.PENDING:
            return Ignored("it is being delivered")
        case Redeliver(), DeliveryStatus.NONE:
            return NotFound(Code.NOT_FOUND, f"there is no delivery {command.delivery_id}")

        case RecordDelivery(), DeliveryStatus.PENDING:
            return [
                DeliverySucceeded(
                    delivery_id=command.delivery_id, customer_id=command.customer_id, webhook_id=command.webhook_id
                )
            ]
        case RecordDeliveryFailure(), DeliveryStatus.PENDING:
            return _failed(command, told)
        case ((RecordDelivery() | RecordDeliveryFailure()), DeliveryStatus.DELIVERED | DeliveryStatus.FAILED):
            return Ignored("already settled")
        case ((RecordDelivery() | RecordDeliveryFailure()), DeliveryStatus.NONE):
            return Refused(Code.CONFLICT, f"nobody asked for delivery {command.delivery_id}")


def _redelivered(command: Redeliver, told: Told) -> Decision:
    delivery = told.deliveries[command.delivery_id]
    match told.webhook(command.webhook_id):
        case WebhookStatus.NONE:
            return NotFound(Code.NOT_FOUND, f"there is no webhook {command.webhook_id}")
        case WebhookStatus.DISABLED:
            return Refused(NotificationCode.WEBHOOK_DISABLED, f"webhook {command.webhook_id} is disabled; enable it")
        case WebhookStatus.ENABLED:
            return [
                DeliveryRequested(
                    delivery_id=delivery.delivery_id,
                    customer_id=delivery.customer_id,
                    webhook_id=delivery.webhook_id,
                    order_id=delivery.order_id,
                    kind=delivery.kind,
                )
            ]


def _failed(command: RecordDeliveryFailure, told: Told) -> Decision:
    """End the delivery; and the webhook, where its receiver is gone, or nothing else got through either."""
    customer_id, webhook_id = command.customer_id, command.webhook_id
    failed = DeliveryFailed(
        delivery_id=command.delivery_id, customer_id=customer_id, webhook_id=webhook_id, code=command.code
    )
    if told.subscriber is None or told.webhook(webhook_id) is not WebhookStatus.ENABLED or command.code in set(Stopped):
        return [failed]
    if command.code == GONE:
        return [failed, WebhookDisabled(customer_id=customer_id, webhook_id=webhook_id, cause=DisabledBy.GONE)]
    if told.subscriber.webhooks[webhook_id].unanswered == command.delivery_id:
        return [failed, WebhookDisabled(customer_id=customer_id, webhook_id=webhook_id, cause=DisabledBy.FAILING)]
    return [failed]


def evolve(deliveries: Mapping[UUID, Delivery], event: DeliveryEvent) -> Delivery:
    """Return the delivery after the event."""
    match event:
        case DeliveryRequested():
            return Delivery(
                delivery_id=event.delivery_id,
                customer_id=event.customer_id,
                webhook_id=event.webhook_id,
                order_id=event.order_id,
                kind=Kind(event.kind),
                status=DeliveryStatus.PENDING,
            )
        case DeliverySucceeded(delivery_id=delivery_id):
            return replace(deliveries[delivery_id], status=DeliveryStatus.DELIVERED)
        case DeliveryFailed(delivery_id=delivery_id, code=code):
            return replace(deliveries[delivery_id], status=DeliveryStatus.FAILED, code=code)


def answered(subscriber: Subscriber, event: DeliveryEvent) -> Subscriber:
    """Return the customer's webhooks, with the first delivery to each that nothing got through since."""
    webhook = subscriber.webhooks.get(event.webhook_id)
    if webhook is None:
        return subscriber
    match event:
        case DeliveryRequested(delivery_id=delivery_id):
            unanswered = webhook.unanswered or delivery_id
        case DeliverySucceeded():
            unanswered = None
        case DeliveryFailed(delivery_id=delivery_id):
            unanswered = None if webhook.unanswered == delivery_id else webhook.unanswered
    after = {**subscriber.webhooks, event.webhook_id: replace(webhook, unanswered=unanswered)}
    return replace(subscriber, webhooks=after)
