"""What is due at the payment provider; between transactions, never inside one."""

from chassis.service import Tried, after
from payment_service import provider
from payment_service.domain import Payment, RecordCharge, RecordDecline, RecordRefund, RecordVoid, Status
from schemas.events import PaymentRefundRequested, PaymentRequested, PaymentVoidRequested


@after(PaymentRequested)
def charge(payment: Payment, _: PaymentRequested, __: Tried) -> RecordCharge | RecordDecline | None:
    """Charge, unless a cancellation came first: then the void decides, by the same key."""
    if payment.status is not Status.REQUESTED:
        return None
    match provider.charge(payment):
        case provider.Charged(charge_id=charge_id):
            return RecordCharge(order_id=payment.order_id, charge_id=charge_id)
        case provider.Declined(code=code):
            return RecordDecline(order_id=payment.order_id, code=code)
        case provider.Barred():
            return None


@after(PaymentVoidRequested)
def void(payment: Payment, _: PaymentVoidRequested, __: Tried) -> RecordVoid | RecordCharge | None:
    """Bar the charge, or learn that it has happened."""
    if payment.status is not Status.VOIDING:
        return None
    match provider.void(payment):
        case provider.Barred():
            return RecordVoid(order_id=payment.order_id)
        case provider.Charged(charge_id=charge_id):
            return RecordCharge(order_id=payment.order_id, charge_id=charge_id)


@after(PaymentRefundRequested)
def refund(payment: Payment, _: PaymentRefundRequested, __: Tried) -> RecordRefund | None:
    """Pay back what was charged."""
    if payment.status is not Status.REFUNDING:
        return None
    return RecordRefund(order_id=payment.order_id, refund_id=provider.refund(payment))
