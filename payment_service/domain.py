"""A payment's life.

REQUESTED once the stock of its order is held; the provider makes it CHARGED or DECLINED.
A cancellation that comes first makes it VOIDED; one that comes after the charge, REFUNDING and then REFUNDED.
One that meets a REQUESTED payment never guesses whether a call is under way: VOIDING asks the provider, by the charge's
own key, and it is either VOIDED for good or had been charged after all, and is refunded.
A refund that cannot be paid through the provider is settled by an operator: paid elsewhere, or written off.
A free order's payment is CHARGED at once with an amount of 0, and VOIDED where it is cancelled: no provider is asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from schemas.events import (
    PaymentCharged,
    PaymentDeclined,
    PaymentRefunded,
    PaymentRefundRequested,
    PaymentRequested,
    PaymentVoided,
    PaymentVoidRequested,
)
from waybill.deciders.outcomes import Code, Decision, Ignored, Refused

NO_CHARGE = ""  # in place of a provider's id, where the order was free
NO_REFUND = ""  # the same, where a refund was written off


class Status(StrEnum):
    """Where a payment stands; each value says who moves it on."""

    NONE = "NONE"
    """Nothing asked for. The order's reservation asks."""
    REQUESTED = "REQUESTED"
    """The worker is asking the provider. For long: is the provider reachable?"""
    CHARGED = "CHARGED"
    """Paid; final, unless the order is cancelled."""
    DECLINED = "DECLINED"
    """Not paid. Final."""
    VOIDING = "VOIDING"
    """The worker is asking the provider to refuse a charge from now on."""
    VOIDED = "VOIDED"
    """Never charged, and never will be. Final."""
    REFUNDING = "REFUNDING"
    """The worker is paying back. For long: look at the provider, the money is owed. An operator may settle it."""
    REFUNDED = "REFUNDED"
    """Paid back, or settled by an operator. Final."""


class SettledBy(StrEnum):
    """How an operator settled a refund."""

    PAID_ELSEWHERE = "paid_elsewhere"
    WRITTEN_OFF = "written_off"


@dataclass(frozen=True, kw_only=True, slots=True)
class Payment:
    """What is known of one order's payment. Amounts are minor units."""

    order_id: UUID
    status: Status = Status.NONE
    customer_id: str = ""
    amount: int = 0
    currency: str = ""
    payment_method: str = ""
    charge_id: str | None = None
    provider: str | None = None
    refund_id: str | None = None
    settled_by: str | None = None
    """A SettledBy; None where the provider paid back."""
    decline_code: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PaymentCommand:
    """Ask something of one order's payment."""

    order_id: UUID

    def rows(self) -> Mapping[str, Sequence[UUID]]:
        """Name the payment."""
        return {"payment": (self.order_id,)}


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestPayment(PaymentCommand):
    """Charge the customer."""

    customer_id: str
    amount: int
    currency: str
    payment_method: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReturnPayment(PaymentCommand):
    """See to it that nothing is or stays charged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordCharge(PaymentCommand):
    """Note that the provider has charged, and which one."""

    charge_id: str
    provider: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordDecline(PaymentCommand):
    """Note that the provider has declined."""

    code: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordVoid(PaymentCommand):
    """Note that the provider has voided the charge, or has given it back whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordRefund(PaymentCommand):
    """Note that the provider has paid back."""

    refund_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SettleRefund(PaymentCommand):
    """Note what an operator says of a refund: paid elsewhere under the reference, or, without one, written off."""

    reference: str | None


Command = RequestPayment | ReturnPayment | RecordCharge | RecordDecline | RecordVoid | RecordRefund | SettleRefund
PaymentEvent = (
    PaymentRequested
    | PaymentCharged
    | PaymentDeclined
    | PaymentVoidRequested
    | PaymentVoided
    | PaymentRefundRequested
    | PaymentRefunded
)


def decide(command: Command, payment: Payment) -> Decision:
    """Return what follows from the command, for every pair of command and status."""
    order_id = command.order_id
    match command, payment.status:
        case RequestPayment(), Status.NONE:
            return _requested(command)
        case RequestPayment(), Status.VOIDED:
            return Ignored("the cancellation overtook the request")
        case (
            RequestPayment(),
            Status.REQUESTED | Status.CHARGED | Status.DECLINED | Status.VOIDING | Status.REFUNDING | Status.REFUNDED,
        ):
            return Ignored("already requested")

        # The cancellation overtook the request. VOIDED remembers it, so that the request then charges nothing.
        case ReturnPayment(), Status.NONE:
            return [PaymentVoided(order_id=order_id)]
        case ReturnPayment(), Status.REQUESTED:
            return [PaymentVoidRequested(order_id=order_id)]
        case ReturnPayment(), Status.CHARGED if payment.amount == 0:
            return [PaymentVoided(order_id=order_id)]  # a free order: there is nothing to give back
        case ReturnPayment(), Status.CHARGED:
            return [PaymentRefundRequested(order_id=order_id)]
        case ReturnPayment(), Status.DECLINED:
            return Ignored("nothing was charged, and the order has been told")
        case ReturnPayment(), Status.VOIDING | Status.VOIDED | Status.REFUNDING | Status.REFUNDED:
            return Ignored("already on its way back")

        case RecordCharge(), Status.REQUESTED:
            return [_charged(payment, command)]
        # The charge came through before the void: it is on record, and paid back.
        case RecordCharge(), Status.VOIDING:
            return [_charged(payment, command), PaymentRefundRequested(order_id=order_id)]
        case RecordCharge(), Status.CHARGED | Status.REFUNDING | Status.REFUNDED:
            return Ignored("the charge is known")
        case RecordCharge(), Status.NONE | Status.DECLINED | Status.VOIDED:
            return _unexpected(payment, "charged")

        case RecordDecline(code=code), Status.REQUESTED:
            return [PaymentDeclined(order_id=order_id, code=code)]
        # Nothing was charged, which is all that a void asks for.
        case RecordDecline(), Status.VOIDING:
            return [PaymentVoided(order_id=order_id)]
        case RecordDecline(), Status.DECLINED | Status.VOIDED:
            return Ignored("the decline is known")
        case RecordDecline(), Status.NONE | Status.CHARGED | Status.REFUNDING | Status.REFUNDED:
            return _unexpected(payment, "declined")

        case RecordVoid(), Status.REQUESTED:
            return [PaymentDeclined(order_id=order_id, code="voided")]  # by hand, in the provider's records
        case RecordVoid(), Status.VOIDING:
            return [PaymentVoided(order_id=order_id)]
        case RecordVoid(), Status.DECLINED | Status.VOIDED:
            return Ignored("the void is known")
        case RecordVoid(), Status.REFUNDING | Status.REFUNDED:
            return Ignored("a question asked before the refund has met it")
        case RecordVoid(), Status.NONE | Status.CHARGED:
            return _unexpected(payment, "voided")

        case RecordRefund(refund_id=refund_id), Status.REFUNDING:
            return [_refunded(payment, refund_id, None)]
        # The money went back twice: an operator settled the refund while the provider paid it.
        case RecordRefund(refund_id=refund_id), Status.REFUNDED if (
            payment.settled_by and refund_id != payment.refund_id
        ):
            return _unexpected(payment, f"refunded as {refund_id}", "and was settled by an operator")
        case RecordRefund(), Status.REFUNDED:
            return Ignored("the refund is known")
        case (
            RecordRefund(),
            Status.NONE | Status.REQUESTED | Status.CHARGED | Status.DECLINED | Status.VOIDING | Status.VOIDED,
        ):
            return _unexpected(payment, "refunded")

        case SettleRefund(reference=None), Status.REFUNDING:
            return [_refunded(payment, NO_REFUND, SettledBy.WRITTEN_OFF)]
        case SettleRefund(reference=str(reference)), Status.REFUNDING:
            return [_refunded(payment, reference, SettledBy.PAID_ELSEWHERE)]
        case (
            SettleRefund(),
            Status.NONE
            | Status.REQUESTED
            | Status.CHARGED
            | Status.DECLINED
            | Status.VOIDING
            | Status.VOIDED
            | Status.REFUNDED,
        ):
            return Refused(
                Code.CONFLICT,
                f"payment {order_id} is {payment.status}: only a refund that is still owed can be settled",
            )


def evolve(payment: Payment, event: PaymentEvent) -> Payment:
    """Return the payment after the event."""
    match event:
        case PaymentRequested():
            return replace(
                payment,
                status=Status.REQUESTED,
                customer_id=event.customer_id,
                amount=event.amount,
                currency=event.currency,
                payment_method=event.payment_method,
            )
        case PaymentCharged(charge_id=charge_id, provider=provider):
            return replace(payment, status=Status.CHARGED, charge_id=charge_id, provider=provider)
        case PaymentDeclined(code=code):
            return replace(payment, status=Status.DECLINED, decline_code=code)
        case PaymentVoidRequested():
            return replace(payment, status=Status.VOIDING)
        case PaymentVoided():
            return replace(payment, status=Status.VOIDED)
        case PaymentRefundRequested():
            return replace(payment, status=Status.REFUNDING)
        case PaymentRefunded(refund_id=refund_id, settled_by=settled_by):
            return replace(payment, status=Status.REFUNDED, refund_id=refund_id, settled_by=settled_by)


def _requested(command: RequestPayment) -> list[PaymentEvent]:
    """Ask for the charge; a free order is charged nothing, at once, and no provider is asked."""
    requested = PaymentRequested(
        order_id=command.order_id,
        customer_id=command.customer_id,
        amount=command.amount,
        currency=command.currency,
        payment_method=command.payment_method,
    )
    if command.amount:
        return [requested]
    charged = PaymentCharged(
        order_id=command.order_id,
        customer_id=command.customer_id,
        charge_id=NO_CHARGE,
        amount=0,
        currency=command.currency,
        provider=None,
    )
    return [requested, charged]


def _charged(payment: Payment, command: RecordCharge) -> PaymentCharged:
    return PaymentCharged(
        order_id=payment.order_id,
        customer_id=payment.customer_id,
        charge_id=command.charge_id,
        amount=payment.amount,
        currency=payment.currency,
        provider=command.provider,
    )


def _refunded(payment: Payment, refund_id: str, settled_by: SettledBy | None) -> PaymentRefunded:
    return PaymentRefunded(
        order_id=payment.order_id,
        customer_id=payment.customer_id,
        refund_id=refund_id,
        amount=payment.amount,
        currency=payment.currency,
        settled_by=settled_by,
    )


def _unexpected(payment: Payment, said: str, more: str = "") -> Refused:
    known = f"payment {payment.order_id} is {payment.status} {more}".rstrip()
    return Refused(Code.CONFLICT, f"the provider says {said}, {known}")
