"""What is known of an order's notices, of a customer's webhooks and of deliveries to them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from uuid import UUID

from waybill.deciders.outcomes import ErrorCode, Explained

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
    CANCELLED_BY_OPERATOR = "cancelled_by_operator"


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
