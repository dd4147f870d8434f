"""The life of one order's notifications.

Each kind of news is told at most once: PENDING when it is asked for, SENT once the mail server has taken it, FAILED
where it will never be told (no address, one that is refused, or a replay led to it).
Addresses are looked up when a mail is written and stand in no event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from uuid import UUID

from schemas.events import NotificationFailed, NotificationRequested, NotificationSent
from waybill.deciders.outcomes import Code, Decision, Ignored, Refused


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One kind of news on one order."""

    status: Status = Status.NONE
    channel: Channel = Channel.EMAIL
    reason: str | None = None
    code: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Notices:
    """What one order's customer has been told, by kind."""

    order_id: UUID
    customer_id: str = ""
    of: Mapping[Kind, Notice] = field(default_factory=dict[Kind, Notice])

    def status(self, kind: Kind) -> Status:
        """Return where the kind stands."""
        return self.of[kind].status if kind in self.of else Status.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class NoticeCommand:
    """Ask something of one order's notifications."""

    order_id: UUID
    kind: Kind

    def rows(self) -> Mapping[str, Sequence[UUID]]:
        """Name the notifications of the order."""
        return {"notification": (self.order_id,)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Notify(NoticeCommand):
    """Tell the customer."""

    customer_id: str
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordSent(NoticeCommand):
    """Note that the mail server has taken it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordFailure(NoticeCommand):
    """Note that it will never be told."""

    code: str


Command = Notify | RecordSent | RecordFailure
NotificationEvent = NotificationRequested | NotificationSent | NotificationFailed


def decide(command: Command, notices: Notices) -> Decision:
    """Return what follows from the command, for every pair of command and status."""
    match command, notices.status(command.kind):
        case Notify(), Status.NONE:
            return [
                NotificationRequested(
                    order_id=command.order_id,
                    customer_id=command.customer_id,
                    kind=command.kind,
                    channel=Channel.EMAIL,
                    reason=command.reason,
                )
            ]
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


def evolve(notices: Notices, event: NotificationEvent) -> Notices:
    """Return the notifications after the event."""
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
