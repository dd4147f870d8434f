"""What customers are told of their orders, and where.

Each kind of news on an order is told at most once by mail: PENDING when it is asked for, SENT once the mail server has
taken it, FAILED where it will never be told (no address, one that is refused, or a replay led to it).
A customer's webhook is ENABLED when it is registered, DISABLED by the customer, by its receiver (410) or where nothing
could be delivered there for long, and gone once it is deleted.
A delivery to a webhook is PENDING from the news, or from a redelivery, until the receiver has it: DELIVERED. It is
FAILED once it has been tried for long enough, or the webhook takes nothing any more.
Addresses and URLs are looked up when they are used and stand in no event.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final
from uuid import UUID

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
from waybill.deciders.outcomes import Code, Decision, ErrorCode, Explained, Ignored, NotFound, Refused

GONE: Final = "http_410"
"""What a receiver answers that wants no more deliveries."""


class Kind(StrEnum):
    """What a customer is told."""

    ORDER_CONFIRMED = "ORDER_CONFIRMED"
    ORDER_CANCELLED = "ORDER_CANCELLED"
    PAYMENT_REFUNDED = "PAYMENT_REFUNDED"


class Channel(StrEnum):
    """How a customer is told."""

    EMAIL = "EMAIL"


class Status(StrEnum):
    """Where one notification stands; each value says who moves it on."""

    NONE = "NONE"
    """Not asked for."""
    PENDING = "PENDING"
    """The worker hands it to the mail server. For long: is the mail server reachable?"""
    SENT = "SENT"
    """The mail server has it. Final."""
    FAILED = "FAILED"
    """It will never be told; the code says why. Final."""


class WebhookStatus(StrEnum):
    """Whether a webhook is told; the customer moves it on, an operator does nothing."""

    NONE = "NONE"
    """Not registered, or deleted."""
    ENABLED = "ENABLED"
    """Told of every message that it is subscribed to."""
    DISABLED = "DISABLED"
    """Told nothing until the customer enables it; the cause says who disabled it."""


class DeliveryStatus(StrEnum):
    """Where one delivery stands; each value says who moves it on."""

    NONE = "NONE"
    """Not asked for."""
    PENDING = "PENDING"
    """The worker tries, again with backoff. For long: the customer's receiver fails; it ends by itself."""
    DELIVERED = "DELIVERED"
    """The receiver has it. The customer may ask for it again."""
    FAILED = "FAILED"
    """Not tried any more; the code says why. The customer may ask for it again."""


class DisabledBy(StrEnum):
    """Who disabled a webhook."""

    CUSTOMER = "customer"
    GONE = "gone"
    """The receiver answered 410."""
    FAILING = "failing"
    """Nothing could be delivered for as long as a delivery is tried."""


class Stopped(StrEnum):
    """Why a delivery ends though nothing is wrong with the receiver."""

    WEBHOOK_DISABLED = "webhook_disabled"
    WEBHOOK_DELETED = "webhook_deleted"
    SUPPRESSED_ON_REPLAY = "suppressed_on_replay"


class NotificationCode(ErrorCode):
    """Name an error that only the notification service has."""

    TOO_MANY_WEBHOOKS = Explained(
        name="too_many_webhooks",
        status=409,
        meaning="The caller has as many webhooks as one may have.",
        remedy="Delete one that is no longer needed.",
    )
    WEBHOOK_DISABLED = Explained(
        name="webhook_disabled",
        status=409,
        meaning="The webhook is disabled, so nothing is delivered to it.",
        remedy="Enable it, then ask for the delivery again.",
    )
    URL_REFUSED = Explained(
        name="url_refused",
        status=422,
        meaning="Nothing is delivered to such a URL; `detail` says why.",
        remedy="Give an https URL of a host with a public address.",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One kind of news on one order."""

    status: Status = Status.NONE
    channel: Channel = Channel.EMAIL
    reason: str | None = None
    code: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Notices:
    """What one order's customer has been told by mail, by kind."""

    order_id: UUID
    customer_id: str = ""
    of: Mapping[Kind, Notice] = field(default_factory=dict[Kind, Notice])

    def status(self, kind: Kind) -> Status:
        """Return where the kind stands."""
        return self.of[kind].status if kind in self.of else Status.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """Where a customer's program is told, of what, and whether it is."""

    status: WebhookStatus
    kinds: tuple[Kind, ...]
    disabled_by: DisabledBy | None = None
    unanswered: UUID | None = None
    """The first delivery since the last success; where that one fails too, nothing got through for as long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscriber:
    """A customer with the webhooks that they have now; `known` once they have registered one."""

    customer_id: str
    known: bool = False
    webhooks: Mapping[UUID, Webhook] = field(default_factory=dict[UUID, Webhook])

    def status(self, webhook_id: UUID) -> WebhookStatus:
        """Return where the webhook stands."""
        return self.webhooks[webhook_id].status if webhook_id in self.webhooks else WebhookStatus.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One message to one webhook."""

    delivery_id: UUID
    customer_id: str
    webhook_id: UUID
    order_id: UUID
    kind: Kind
    status: DeliveryStatus
    code: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a decision is made on: an order's notices, a customer's webhooks, deliveries; those that were asked for."""

    notices: Notices | None = None
    subscriber: Subscriber | None = None
    deliveries: Mapping[UUID, Delivery] = field(default_factory=dict[UUID, Delivery])

    def notice(self, kind: Kind) -> Status:
        """Return where the kind of news stands."""
        return self.notices.status(kind) if self.notices else Status.NONE

    def webhook(self, webhook_id: UUID) -> WebhookStatus:
        """Return where the webhook stands."""
        return self.subscriber.status(webhook_id) if self.subscriber else WebhookStatus.NONE

    def delivery(self, delivery_id: UUID) -> DeliveryStatus:
        """Return where the delivery stands."""
        return self.deliveries[delivery_id].status if delivery_id in self.deliveries else DeliveryStatus.NONE


def delivery_id_of(webhook_id: UUID, order_id: UUID, kind: Kind) -> UUID:
    """Return the one id of this message to this webhook; it begins with the time in the order's id, as that does."""
    told = hashlib.sha256(webhook_id.bytes + order_id.bytes + kind.encode()).digest()
    return UUID(bytes=order_id.bytes[:6] + told[:10])


@dataclass(frozen=True, kw_only=True, slots=True)
class NoticeCommand:
    """Ask something of one order's notifications."""

    order_id: UUID
    kind: Kind

    def rows(self) -> Mapping[str, Sequence[UUID | str]]:
        """Name the notifications of the order."""
        return {"notification": (self.order_id,)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Notify(NoticeCommand):
    """Tell the customer, by mail and at their webhooks."""

    customer_id: str
    reason: str | None = None

    def rows(self) -> Mapping[str, Sequence[UUID | str]]:
        """Name the notifications of the order, then the customer's webhooks."""
        return {"notification": (self.order_id,), "subscriber": (self.customer_id,)}


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordSent(NoticeCommand):
    """Note that the mail server has taken it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordFailure(NoticeCommand):
    """Note that it will never be told."""

    code: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookCommand:
    """Ask something of one of a customer's webhooks."""

    customer_id: str
    webhook_id: UUID

    def rows(self) -> Mapping[str, Sequence[UUID | str]]:
        """Name the customer's webhooks."""
        return {"subscriber": (self.customer_id,)}


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisterWebhook(WebhookCommand):
    """Tell the customer there too; no more than `limit` webhooks."""

    kinds: tuple[Kind, ...]
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscribeWebhook(WebhookCommand):
    """Tell it of these kinds of news."""

    kinds: tuple[Kind, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DisableWebhook(WebhookCommand):
    """Deliver nothing there for now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnableWebhook(WebhookCommand):
    """Deliver there again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteWebhook(WebhookCommand):
    """Forget it."""


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


NoticeCommands = Notify | RecordSent | RecordFailure
WebhookCommands = RegisterWebhook | SubscribeWebhook | DisableWebhook | EnableWebhook | DeleteWebhook
DeliveryCommands = Redeliver | RecordDelivery | RecordDeliveryFailure
Command = NoticeCommands | WebhookCommands | DeliveryCommands
NoticeEvent = NotificationRequested | NotificationSent | NotificationFailed
WebhookEvent = WebhookRegistered | WebhookSubscribed | WebhookDisabled | WebhookEnabled | WebhookDeleted
DeliveryEvent = DeliveryRequested | DeliverySucceeded | DeliveryFailed


def decide(command: Command, told: Told) -> Decision:
    """Return what follows from the command, for every pair of command and status."""
    match command:
        case Notify() | RecordSent() | RecordFailure():
            return _decide_notice(command, told)
        case RegisterWebhook() | SubscribeWebhook() | DisableWebhook() | EnableWebhook() | DeleteWebhook():
            return _decide_webhook(command, told)
        case Redeliver() | RecordDelivery() | RecordDeliveryFailure():
            return _decide_delivery(command, told)


def _decide_notice(command: NoticeCommands, told: Told) -> Decision:
    match command, told.notice(command.kind):
        case Notify(), Status.NONE:
            requested = NotificationRequested(
                order_id=command.order_id,
                customer_id=command.customer_id,
                kind=command.kind,
                channel=Channel.EMAIL,
                reason=command.reason,
            )
            return [requested, *_deliveries(command, told.subscriber)]
        # Also after FAILED: each kind is asked for once, whatever came of it.
        case Notify(), Status.PENDING | Status.SENT | Status.FAILED:
            return Ignored("the customer is told once")

        case RecordSent(), Status.PENDING:
            return [NotificationSent(order_id=command.order_id, kind=command.kind, channel=Channel.EMAIL)]
        case RecordSent(), Status.SENT | Status.FAILED:
            return Ignored("already settled")

        case RecordFailure(code=code), Status.PENDING:
            return [NotificationFailed(order_id=command.order_id, kind=command.kind, channel=Channel.EMAIL, code=code)]
        case RecordFailure(), Status.SENT | Status.FAILED:
            return Ignored("already settled")

        case ((RecordSent() | RecordFailure()), Status.NONE):
            return Refused(Code.CONFLICT, f"nobody asked to tell {command.kind} of {command.order_id}")


def _deliveries(command: Notify, subscriber: Subscriber | None) -> Iterator[DeliveryRequested]:
    # Sorted: a row keeps the webhooks in another sequence than events do, and the same decision has to come of both.
    for webhook_id, webhook in sorted(subscriber.webhooks.items()) if subscriber else ():
        if webhook.status is WebhookStatus.ENABLED and command.kind in webhook.kinds:
            yield DeliveryRequested(
                delivery_id=delivery_id_of(webhook_id, command.order_id, command.kind),
                customer_id=command.customer_id,
                webhook_id=webhook_id,
                order_id=command.order_id,
                kind=command.kind,
            )


def _decide_webhook(command: WebhookCommands, told: Told) -> Decision:
    customer_id, webhook_id = command.customer_id, command.webhook_id
    match command, told.webhook(webhook_id):
        case RegisterWebhook(kinds=kinds, limit=limit), WebhookStatus.NONE:
            if told.subscriber and len(told.subscriber.webhooks) >= limit:
                return Refused(NotificationCode.TOO_MANY_WEBHOOKS, f"there are {limit} webhooks already; delete one")
            return [WebhookRegistered(customer_id=customer_id, webhook_id=webhook_id, kinds=kinds)]
        case RegisterWebhook(), WebhookStatus.ENABLED | WebhookStatus.DISABLED:
            return Refused(Code.ALREADY_EXISTS, f"webhook {webhook_id} is registered already")

        case SubscribeWebhook(kinds=kinds), WebhookStatus.ENABLED | WebhookStatus.DISABLED:
            return [WebhookSubscribed(customer_id=customer_id, webhook_id=webhook_id, kinds=kinds)]

        case DisableWebhook(), WebhookStatus.ENABLED:
            return [WebhookDisabled(customer_id=customer_id, webhook_id=webhook_id, cause=DisabledBy.CUSTOMER)]
        case DisableWebhook(), WebhookStatus.DISABLED:
            return Ignored("already disabled")

        case EnableWebhook(), WebhookStatus.DISABLED:
            return [WebhookEnabled(customer_id=customer_id, webhook_id=webhook_id)]
        case EnableWebhook(), WebhookStatus.ENABLED:
            return Ignored("already enabled")

        case DeleteWebhook(), WebhookStatus.ENABLED | WebhookStatus.DISABLED:
            return [WebhookDeleted(customer_id=customer_id, webhook_id=webhook_id)]
        case ((SubscribeWebhook() | DisableWebhook() | EnableWebhook() | DeleteWebhook()), WebhookStatus.NONE):
            return NotFound(Code.NOT_FOUND, f"there is no webhook {webhook_id}")


def _decide_delivery(command: DeliveryCommands, told: Told) -> Decision:
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


def evolve(told: Told, event: NoticeEvent | WebhookEvent | DeliveryEvent) -> Told:
    """Return what customers are told after the event."""
    match event:
        case NotificationRequested() | NotificationSent() | NotificationFailed():
            assert told.notices is not None
            return replace(told, notices=_evolve_notices(told.notices, event))
        case WebhookRegistered() | WebhookSubscribed() | WebhookDisabled() | WebhookEnabled() | WebhookDeleted():
            assert told.subscriber is not None
            return replace(told, subscriber=_evolve_subscriber(told.subscriber, event))
        case DeliveryRequested() | DeliverySucceeded() | DeliveryFailed():
            delivery = _evolve_delivery(told.deliveries, event)
            return replace(
                told,
                subscriber=told.subscriber and _answered(told.subscriber, event),
                deliveries={**told.deliveries, event.delivery_id: delivery},
            )


def _evolve_notices(notices: Notices, event: NoticeEvent) -> Notices:
    kind = Kind(event.kind)
    match event:
        case NotificationRequested(customer_id=customer_id, reason=reason):
            notice = Notice(status=Status.PENDING, channel=Channel(event.channel), reason=reason)
            return replace(notices, customer_id=customer_id, of={**notices.of, kind: notice})
        case NotificationSent():
            return _with(notices, kind, replace(notices.of[kind], status=Status.SENT))
        case NotificationFailed(code=code):
            return _with(notices, kind, replace(notices.of[kind], status=Status.FAILED, code=code))


def _with(notices: Notices, kind: Kind, notice: Notice) -> Notices:
    return replace(notices, of={**notices.of, kind: notice})


def _evolve_subscriber(subscriber: Subscriber, event: WebhookEvent) -> Subscriber:
    webhooks = dict(subscriber.webhooks)
    match event:
        case WebhookRegistered(webhook_id=webhook_id, kinds=kinds):
            webhooks[webhook_id] = Webhook(status=WebhookStatus.ENABLED, kinds=tuple(map(Kind, kinds)))
        case WebhookSubscribed(webhook_id=webhook_id, kinds=kinds):
            webhooks[webhook_id] = replace(webhooks[webhook_id], kinds=tuple(map(Kind, kinds)))
        case WebhookDisabled(webhook_id=webhook_id, cause=cause):
            webhooks[webhook_id] = replace(
                webhooks[webhook_id], status=WebhookStatus.DISABLED, disabled_by=DisabledBy(cause), unanswered=None
            )
        case WebhookEnabled(webhook_id=webhook_id):
            webhooks[webhook_id] = replace(webhooks[webhook_id], status=WebhookStatus.ENABLED, disabled_by=None)
        case WebhookDeleted(webhook_id=webhook_id):
            del webhooks[webhook_id]
    return replace(subscriber, known=True, webhooks=webhooks)


def _answered(subscriber: Subscriber, event: DeliveryEvent) -> Subscriber:
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


def _evolve_delivery(deliveries: Mapping[UUID, Delivery], event: DeliveryEvent) -> Delivery:
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
