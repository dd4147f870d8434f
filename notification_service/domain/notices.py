"""What is told of an order by mail: each kind of news once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from notification_service.domain.state import (
    Channel,
    Kind,
    Notice,
    Notices,
    Status,
    Subscriber,
    Told,
    WebhookStatus,
    delivery_id_of,
)
from schemas.events import (
    DeliveryRequested,
    NotificationFailed,
    NotificationRequested,
    NotificationSent,
)
from waybill.deciders.outcomes import Code, Decision, Ignored, Refused


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


NoticeCommands = Notify | RecordSent | RecordFailure
NoticeEvent = NotificationRequested | NotificationSent | NotificationFailed


def decide(command: NoticeCommands, told: Told) -> Decision:
    """Return what follows for the order's notices; a notice that is asked for is delivered to webhooks too."""
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


def evolve(notices: Notices, event: NoticeEvent) -> Notices:
    """Return the notices after the event."""
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
