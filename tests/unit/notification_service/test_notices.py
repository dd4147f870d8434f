from dataclasses import replace
from uuid import UUID

from notification_service.domain import (
    Kind,
    Notices,
    Notify,
    RecordFailure,
    RecordSent,
    Told,
    decide,
    evolve,
)
from notification_service.reactions import payment_refunded
from schemas.events import NotificationFailed, NotificationRequested, NotificationSent, PaymentRefunded
from waybill.deciders.outcomes import Ignored, Refused
from waybill.testing import Scenario

ID = UUID(int=1)
KIND = Kind.ORDER_CONFIRMED
NOTIFY = Notify(order_id=ID, customer_id="ann", kind=KIND)
REQUESTED = NotificationRequested(order_id=ID, customer_id="ann", kind=KIND, channel="EMAIL", reason=None)
SENT = NotificationSent(order_id=ID, kind=KIND, channel="EMAIL")
FAILED = NotificationFailed(order_id=ID, kind=KIND, channel="EMAIL", code="no_address")
notices = Scenario(decide, evolve, Told(notices=Notices(order_id=ID)))


def test_each_kind_of_news_is_told_once():
    notices.when(NOTIFY).then(REQUESTED)
    for settled in ((), (SENT,), (FAILED,)):
        notices.given(REQUESTED, *settled).when(NOTIFY).then(Ignored)


def test_another_kind_is_told_too():
    other = Notify(order_id=ID, customer_id="ann", kind=Kind.PAYMENT_REFUNDED)
    expected = NotificationRequested(
        order_id=ID, customer_id="ann", kind=Kind.PAYMENT_REFUNDED, channel="EMAIL", reason=None
    )
    notices.given(REQUESTED, SENT).when(other).then(expected)


def test_what_became_of_it_is_recorded_once():
    notices.given(REQUESTED).when(RecordSent(order_id=ID, kind=KIND)).then(SENT)
    notices.given(REQUESTED).when(RecordFailure(order_id=ID, kind=KIND, code="no_address")).then(FAILED)
    notices.given(REQUESTED, SENT).when(RecordFailure(order_id=ID, kind=KIND, code="no_address")).then(Ignored)


def test_what_nobody_asked_for_cannot_be_sent():
    notices.when(RecordSent(order_id=ID, kind=KIND)).then(Refused)


def test_a_refund_is_told_wherever_it_was_paid_and_not_where_it_was_written_off():
    refunded = PaymentRefunded(order_id=ID, customer_id="ann", refund_id="re_1", amount=1, currency="EUR")
    told = Notify(order_id=ID, customer_id="ann", kind=Kind.PAYMENT_REFUNDED)
    assert payment_refunded(refunded) == told
    assert payment_refunded(replace(refunded, settled_by="paid_elsewhere")) == told
    assert payment_refunded(replace(refunded, settled_by="written_off")) is None
