from dataclasses import replace
from uuid import UUID

import pytest

from payment_service.domain import (
    Payment,
    RecordCharge,
    RecordDecline,
    RecordRefund,
    RecordVoid,
    RequestPayment,
    ReturnPayment,
    SettledBy,
    SettleRefund,
    Status,
    decide,
    evolve,
)
from schemas.events import (
    PaymentCharged,
    PaymentDeclined,
    PaymentRefunded,
    PaymentRefundRequested,
    PaymentRequested,
    PaymentVoided,
    PaymentVoidRequested,
)
from tests.support.pairs import reachable
from waybill.deciders.outcomes import Ignored, Refused
from waybill.testing import Scenario

ID = UUID(int=1)
TERMS = {"order_id": ID, "customer_id": "ann", "amount": 1999, "currency": "EUR"}
REQUESTED = PaymentRequested(**TERMS, payment_method="tok_ok")
CHARGED = PaymentCharged(**TERMS, charge_id="ch_1", provider="simulator")
REFUNDED = PaymentRefunded(**TERMS, refund_id="re_1")
VOIDED = PaymentVoided(order_id=ID)
VOID_REQUESTED = PaymentVoidRequested(order_id=ID)
REFUND_REQUESTED = PaymentRefundRequested(order_id=ID)
DECLINED = PaymentDeclined(order_id=ID, code="card_declined")
REQUEST = RequestPayment(**TERMS, payment_method="tok_ok")
RETURN = ReturnPayment(order_id=ID)
CHARGE = RecordCharge(order_id=ID, charge_id="ch_1", provider="simulator")
DECLINE = RecordDecline(order_id=ID, code="card_declined")
VOID = RecordVoid(order_id=ID)
REFUND = RecordRefund(order_id=ID, refund_id="re_1")
PAID_ELSEWHERE = SettleRefund(order_id=ID, reference="transfer 7")
WRITTEN_OFF = SettleRefund(order_id=ID, reference=None)
payment = Scenario(decide, evolve, Payment(order_id=ID))


def test_a_payment_is_requested_then_charged_or_declined():
    payment.when(REQUEST).then(REQUESTED)
    payment.given(REQUESTED).when(CHARGE).then(CHARGED)
    payment.given(REQUESTED).when(DECLINE).then(DECLINED)


def test_a_charge_says_whose_books_it_stands_in_and_an_old_one_that_nobody_knows():
    assert payment.given(REQUESTED, CHARGED).state.provider == "simulator"
    assert payment.given(REQUESTED, replace(CHARGED, provider=None)).state.provider is None


def test_a_free_order_is_charged_nothing_at_once_and_voided_where_it_is_cancelled():
    free = replace(CHARGED, amount=0, charge_id="", provider=None)
    payment.when(replace(REQUEST, amount=0)).then(replace(REQUESTED, amount=0), free)
    payment.given(replace(REQUESTED, amount=0), free).when(RETURN).then(VOIDED)


def test_a_cancellation_that_came_first_is_never_charged():
    payment.when(RETURN).then(VOIDED)
    payment.given(VOIDED).when(REQUEST).then(Ignored)


def test_a_cancellation_never_guesses_whether_a_call_is_under_way():
    payment.given(REQUESTED).when(RETURN).then(VOID_REQUESTED)
    payment.given(REQUESTED, VOID_REQUESTED).when(VOID).then(VOIDED)


def test_a_charge_that_had_happened_after_all_is_refunded():
    payment.given(REQUESTED, VOID_REQUESTED).when(CHARGE).then(CHARGED, REFUND_REQUESTED)
    payment.given(REQUESTED, VOID_REQUESTED, CHARGED, REFUND_REQUESTED).when(REFUND).then(REFUNDED)


def test_a_charged_payment_is_refunded_once():
    refunding = payment.given(REQUESTED, CHARGED)
    refunding.when(RETURN).then(REFUND_REQUESTED)
    refunding.given(REFUND_REQUESTED).when(RETURN).then(Ignored)
    refunding.given(REFUND_REQUESTED, REFUNDED).when(REFUND).then(Ignored)


def test_a_declined_payment_has_nothing_to_return():
    payment.given(REQUESTED, DECLINED).when(RETURN).then(Ignored)


def test_a_charge_that_the_provider_bars_is_a_decline():
    payment.given(REQUESTED).when(VOID).then(replace(DECLINED, code="voided"))
    payment.given(REQUESTED, DECLINED).when(VOID).then(Ignored)


def test_a_question_that_meets_the_refund_changes_nothing():
    refunding = payment.given(REQUESTED, VOID_REQUESTED, CHARGED, REFUND_REQUESTED)
    refunding.when(VOID).then(Ignored)
    refunding.given(REFUNDED).when(VOID).then(Ignored)


def test_a_provider_that_contradicts_what_is_known_is_refused():
    payment.given(REQUESTED, VOID_REQUESTED, VOIDED).when(CHARGE).then(Refused)
    payment.given(REQUESTED, CHARGED).when(VOID).then(Refused)


def test_an_operator_settles_a_refund_that_is_owed():
    owed = payment.given(REQUESTED, CHARGED, REFUND_REQUESTED)
    owed.when(PAID_ELSEWHERE).then(replace(REFUNDED, refund_id="transfer 7", settled_by="paid_elsewhere"))
    owed.when(WRITTEN_OFF).then(replace(REFUNDED, refund_id="", settled_by="written_off"))
    settled = owed.given(replace(REFUNDED, refund_id="", settled_by="written_off")).state
    assert (settled.status, settled.settled_by) == (Status.REFUNDED, SettledBy.WRITTEN_OFF)


@pytest.mark.parametrize(
    ("status", "events"),
    [
        (Status.NONE, []),
        (Status.REQUESTED, [REQUESTED]),
        (Status.CHARGED, [REQUESTED, CHARGED]),
        (Status.DECLINED, [REQUESTED, DECLINED]),
        (Status.VOIDING, [REQUESTED, VOID_REQUESTED]),
        (Status.VOIDED, [VOIDED]),
        (Status.REFUNDED, [REQUESTED, CHARGED, REFUND_REQUESTED, REFUNDED]),
    ],
)
@pytest.mark.parametrize("command", [PAID_ELSEWHERE, WRITTEN_OFF])
def test_what_is_no_refund_that_is_owed_cannot_be_settled(status, events, command):
    stands = payment.given(*events)
    assert stands.state.status is status
    stands.when(command).then(Refused)


def test_a_refund_that_the_provider_pays_after_it_was_settled_is_refused_and_the_one_that_was_meant_is_known():
    settled = payment.given(
        REQUESTED, CHARGED, REFUND_REQUESTED, replace(REFUNDED, refund_id="re_7", settled_by="paid_elsewhere")
    )
    settled.when(REFUND).then(Refused)
    settled.when(replace(REFUND, refund_id="re_7")).then(Ignored)


def test_every_state_that_can_be_reached_decides_every_command():
    states = reachable(
        decide,
        evolve,
        Payment(order_id=ID),
        [REQUEST, RETURN, CHARGE, DECLINE, VOID, REFUND, PAID_ELSEWHERE, WRITTEN_OFF],
    )
    assert {state.status for state in states} == set(Status)
