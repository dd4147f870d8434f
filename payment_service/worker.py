"""What is due at the payment provider; between transactions, never inside one."""

from payment_service import provider
from payment_service.domain import Payment, RecordCharge, RecordDecline, RecordRefund, RecordVoid, SettleRefund, Status
from payment_service.settings import PaymentSettings
from schemas.events import PaymentRefundRequested, PaymentRequested, PaymentVoidRequested
from waybill.deciders.service import Settlement, Tried, after, settles
from waybill.runtime.settings import read


@after(
    PaymentRequested,
    remediation="compare the reason with the provider's records: once they show the order's charge or void, it is "
    "found; or cancel the order",
)
def charge(payment: Payment, _: PaymentRequested, tried: Tried) -> RecordCharge | RecordDecline | RecordVoid | None:
    """Charge, unless a cancellation came first: then the void decides, by the same key."""
    if payment.status is not Status.REQUESTED:
        return None
    match provider.charge(payment, tried):
        case provider.Charged(charge_id=charge_id):
            return _charged(payment, charge_id)
        case provider.Declined(code=code):
            return RecordDecline(order_id=payment.order_id, code=code)
        case provider.Voided():
            return RecordVoid(order_id=payment.order_id)  # by our void, or by hand in its records


@after(
    PaymentVoidRequested,
    remediation="bring the provider back, or void or refund the order's charge in its records: the look-up finds it",
)
def void(payment: Payment, _: PaymentVoidRequested, tried: Tried) -> RecordVoid | RecordCharge | None:
    """Bar the charge, or learn that it has happened."""
    if payment.status is not Status.VOIDING:
        return None
    match provider.void(payment, tried):
        case provider.Voided():
            return RecordVoid(order_id=payment.order_id)
        case provider.Charged(charge_id=charge_id):
            return _charged(payment, charge_id)


@after(
    PaymentRefundRequested,
    remediation="the money is owed: fix what it names, or refund the whole charge in the provider's records; once "
    "it was paid elsewhere, or is written off: `outbox settle --service payment ORDER_ID`",
)
def refund(payment: Payment, _: PaymentRefundRequested, tried: Tried) -> RecordRefund | None:
    """Pay back what was charged."""
    if payment.status is not Status.REFUNDING:
        return None
    match provider.refund(payment, tried):
        case provider.Refunded(refund_id=refund_id):
            return RecordRefund(order_id=payment.order_id, refund_id=refund_id)


@settles(refund)
def settle_refund(payment: Payment, settlement: Settlement) -> SettleRefund:
    """Take the operator's word for it."""
    return SettleRefund(order_id=payment.order_id, reference=settlement.reference)


def _charged(payment: Payment, charge_id: str) -> RecordCharge:
    return RecordCharge(order_id=payment.order_id, charge_id=charge_id, provider=read(PaymentSettings).provider)
