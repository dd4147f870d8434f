"""What customers are told of their orders, and where.

Each kind of news on an order is told at most once by mail: PENDING when it is asked for, SENT once the mail server has
taken it, FAILED where it will never be told (no address, one that is refused, or a replay led to it).
A customer's webhook is ENABLED when it is registered, DISABLED by the customer, by its receiver (410) or where nothing
could be delivered there for long, and gone once it is deleted.
A delivery to a webhook is PENDING from the news, or from a redelivery, until the receiver has it: DELIVERED. It is
FAILED once it has been tried for long enough, or the webhook takes nothing any more.
Addresses and URLs are looked up when they are used and stand in no event.
"""

from dataclasses import replace

from notification_service.domain import deliveries, notices, webhooks
from notification_service.domain.deliveries import (
    DeliveryCommands,
    DeliveryEvent,
    RecordDelivery,
    RecordDeliveryFailure,
    Redeliver,
)
from notification_service.domain.notices import NoticeCommands, NoticeEvent, Notify, RecordFailure, RecordSent
from notification_service.domain.state import (
    GONE,
    Channel,
    Delivery,
    DeliveryStatus,
    DisabledBy,
    Kind,
    Notice,
    Notices,
    NotificationCode,
    Status,
    Stopped,
    Subscriber,
    Told,
    Webhook,
    WebhookStatus,
    delivery_id_of,
)
from notification_service.domain.webhooks import (
    DeleteWebhook,
    DisableWebhook,
    EnableWebhook,
    RegisterWebhook,
    SubscribeWebhook,
    WebhookCommands,
    WebhookEvent,
)
from schemas.events import (
    DeliveryFailed,
    DeliveryRequested,
    DeliverySucceeded,
    NotificationFailed,
    NotificationRequested,
    NotificationSent,
    WebhookDeleted,
    WebhookDisabled,
    WebhookEnabled,
    WebhookRegistered,
    WebhookSubscribed,
)
from waybill.deciders.outcomes import Decision

__all__ = [
    "GONE",
    "Channel",
    "Command",
    "DeleteWebhook",
    "Delivery",
    "DeliveryStatus",
    "DisableWebhook",
    "DisabledBy",
    "EnableWebhook",
    "Kind",
    "Notice",
    "Notices",
    "NotificationCode",
    "Notify",
    "RecordDelivery",
    "RecordDeliveryFailure",
    "RecordFailure",
    "RecordSent",
    "Redeliver",
    "RegisterWebhook",
    "Status",
    "Stopped",
    "SubscribeWebhook",
    "Subscriber",
    "Told",
    "Webhook",
    "WebhookStatus",
    "decide",
    "delivery_id_of",
    "evolve",
]

Command = NoticeCommands | WebhookCommands | DeliveryCommands


def decide(command: Command, told: Told) -> Decision:
    """Return what follows from the command, for every pair of command and status."""
    match command:
        case Notify() | RecordSent() | RecordFailure():
            return notices.decide(command, told)
        case RegisterWebhook() | SubscribeWebhook() | DisableWebhook() | EnableWebhook() | DeleteWebhook():
            return webhooks.decide(command, told)
        case Redeliver() | RecordDelivery() | RecordDeliveryFailure():
            return deliveries.decide(command, told)


def evolve(told: Told, event: NoticeEvent | WebhookEvent | DeliveryEvent) -> Told:
    """Return what customers are told after the event."""
    match event:
        case NotificationRequested() | NotificationSent() | NotificationFailed():
            assert told.notices is not None
            return replace(told, notices=notices.evolve(told.notices, event))
        case WebhookRegistered() | WebhookSubscribed() | WebhookDisabled() | WebhookEnabled() | WebhookDeleted():
            assert told.subscriber is not None
            return replace(told, subscriber=webhooks.evolve(told.subscriber, event))
        case DeliveryRequested() | DeliverySucceeded() | DeliveryFailed():
            delivery = deliveries.evolve(told.deliveries, event)
            return replace(
                told,
                subscriber=told.subscriber and deliveries.answered(told.subscriber, event),
                deliveries={**told.deliveries, event.delivery_id: delivery},
            )
