"""What every payment provider must do, on each that there is: asked once, asked again, and asked too late."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from threading import Barrier, Thread

import pytest

from payment_service.domain import Status
from payment_service.provider import asking, guard
from payment_service.provider.port import Charged, Declined, Refunded, UnexpectedAnswer, Voided
from tests.support.providers import harness
from tests.support.providers.harness import Harness, payment
from waybill.deciders.outcomes import NotAttempted, OutcomeUnknown, Unavailable
from waybill.deciders.service import Tried

FIRST = Tried()
AGAIN = Tried(times=2, seconds=60)
TOO_LATE = Tried(times=9, seconds=timedelta(hours=12).total_seconds())
BREAKS = {"provider_breaker_failures": 2, "provider_breaker_seconds": 600}
PROVIDERS = {"simulator": harness.simulator, "stripe": harness.stripe}


@pytest.fixture(scope="module", params=list(PROVIDERS))
def running(request, tmp_path_factory) -> Iterator[Harness]:
    with PROVIDERS[request.param](tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture
def psp(running) -> Iterator[Harness]:
    """The provider, repaired, with the service's own rules before it."""
    with harness.in_use(running):
        yield running


def charged(psp: Harness):
    """A payment that the provider has charged."""
    asked = payment(psp)
    answer = asking.charge(asked, FIRST)
    assert isinstance(answer, Charged)
    return replace(asked, status=Status.REFUNDING, charge_id=answer.charge_id)


def test_a_charge_is_made_once_however_often_it_is_asked_for(psp):
    asked = payment(psp)
    first = asking.charge(asked, FIRST)
    assert isinstance(first, Charged)
    assert asking.charge(asked, AGAIN) == first
    assert psp.charges(asked.order_id) == [4200]


def test_two_who_charge_at_once_charge_once(psp):
    asked = payment(psp)
    both, found = Barrier(2), []

    def ask() -> None:
        both.wait(10)
        found.append(asking.charge(asked, FIRST))

    threads = [Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(found)) == 1
    assert psp.charges(asked.order_id) == [4200]


def test_a_card_without_money_is_declined_and_stays_declined(psp):
    asked = payment(psp, method=psp.poor)
    assert asking.charge(asked, FIRST) == Declined("card_declined")
    assert asking.charge(asked, AGAIN) == Declined("card_declined")
    assert psp.charges(asked.order_id) == []


def test_a_charge_whose_answer_was_lost_is_made_once(psp):
    asked = payment(psp)
    psp.fault("charge", "lose")
    with pytest.raises(Unavailable):
        asking.charge(asked, FIRST)
    psp.fault("charge", None)
    assert isinstance(asking.charge(asked, AGAIN), Charged)
    assert psp.charges(asked.order_id) == [4200]


def test_a_charge_whose_key_is_forgotten_is_looked_up_and_not_made_again(psp):
    asked = payment(psp)
    psp.fault("charge", "lose")
    with pytest.raises(Unavailable):
        asking.charge(asked, FIRST)
    psp.fault("charge", None)
    psp.forget()
    assert isinstance(asking.charge(asked, TOO_LATE), Charged)
    assert psp.charges(asked.order_id) == [4200]


def test_past_the_bound_nothing_is_asked_for_that_does_not_show(psp):
    asked = payment(psp)
    with pytest.raises(OutcomeUnknown, match="not asked for again"):
        asking.charge(asked, TOO_LATE)
    assert psp.charges(asked.order_id) == []


def test_a_charge_behind_a_stored_error_is_looked_up(psp):
    asked = payment(psp)
    psp.fault("charge", "late_error")
    assert isinstance(asking.charge(asked, FIRST), Charged)
    assert psp.charges(asked.order_id) == [4200]


def test_a_stored_error_without_a_charge_is_never_asked_again_and_the_void_ends_it(psp):
    asked = payment(psp)
    psp.fault("charge", "stored_error")
    with pytest.raises(OutcomeUnknown):
        asking.charge(asked, FIRST)
    psp.fault("charge", None)
    psp.forget()
    with pytest.raises(OutcomeUnknown):
        asking.charge(asked, Tried(times=2, seconds=60, look_up_only=True))
    assert asking.void(asked, FIRST) == Voided()
    assert psp.charges(asked.order_id) == []


def test_a_void_that_comes_first_voids_the_charge(psp):
    asked = payment(psp)
    assert asking.void(asked, FIRST) == Voided()
    assert asking.charge(asked, FIRST) == Voided()
    assert asking.void(asked, AGAIN) == Voided()
    assert psp.charges(asked.order_id) == []


def test_a_void_whose_answer_was_lost_is_asked_again(psp):
    asked = payment(psp)
    psp.fault("void", "lose")
    with pytest.raises(Unavailable):
        asking.void(replace(asked), FIRST)
    psp.fault("void", None)
    assert asking.void(asked, AGAIN) == Voided()
    assert asking.charge(asked, FIRST) == Voided()


def test_a_void_that_comes_second_learns_of_the_charge_and_the_refund_follows(psp):
    paid = charged(psp)
    assert asking.void(replace(paid, charge_id=None), FIRST) == Charged(paid.charge_id)
    assert isinstance(asking.refund(paid, FIRST), Refunded)
    assert (psp.charges(paid.order_id), psp.refunds(paid.order_id)) == ([4200], [4200])


def test_a_void_finds_the_charge_whose_key_is_forgotten(psp):
    paid = charged(psp)
    psp.forget()
    assert asking.void(replace(paid, charge_id=None), FIRST) == Charged(paid.charge_id)


def test_void_and_charge_at_once_agree_on_who_came_first(psp):
    asked = payment(psp)
    both, found = Barrier(2), {}

    def ask(name, call) -> None:
        both.wait(10)
        found[name] = call(asked, FIRST)

    threads = [Thread(target=ask, args=(name, getattr(asking, name))) for name in ("charge", "void")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found["charge"] == found["void"]
    assert psp.charges(asked.order_id) == ([4200] if isinstance(found["void"], Charged) else [])


def test_a_refund_is_paid_once_however_often_it_is_asked_for(psp):
    paid = charged(psp)
    first = asking.refund(paid, FIRST)
    assert asking.refund(paid, FIRST) == first
    assert asking.refund(paid, AGAIN) == first
    assert psp.refunds(paid.order_id) == [4200]


@pytest.mark.parametrize("fault", ["lose", "late_error"])
def test_a_refund_that_was_paid_unheard_is_found_also_when_its_key_is_forgotten(psp, fault):
    paid = charged(psp)
    psp.fault("refund", fault)
    with pytest.raises(Unavailable):
        asking.refund(paid, FIRST)
    psp.fault("refund", None)
    psp.forget()
    assert isinstance(asking.refund(paid, AGAIN), Refunded)
    assert psp.refunds(paid.order_id) == [4200]


def test_a_refund_behind_a_stored_error_is_paid_once_its_key_is_forgotten(psp):
    paid = charged(psp)
    psp.fault("refund", "stored_error")
    for tried in (FIRST, AGAIN):
        with pytest.raises(OutcomeUnknown):
            asking.refund(paid, tried)
    psp.fault("refund", None)
    psp.forget()
    assert isinstance(asking.refund(paid, TOO_LATE), Refunded)
    assert psp.refunds(paid.order_id) == [4200]


@pytest.mark.parametrize("fault", ["wrong_amount", "wrong_currency"])
def test_another_amount_or_currency_than_asked_for_needs_attention(psp, fault):
    asked = payment(psp)
    psp.fault("charge", fault)
    told = {"wrong_amount": "4201 EUR", "wrong_currency": "4200 XTS"}[fault]
    with pytest.raises(UnexpectedAnswer, match=f"asked to charge 4200 EUR .*{told}"):
        asking.charge(asked, FIRST)
    with pytest.raises(UnexpectedAnswer, match=told):
        asking.charge(asked, TOO_LATE)


def test_a_wrong_charge_that_an_operator_gave_back_in_the_providers_records_is_over(psp):
    asked = payment(psp)
    wrong = replace(asked, amount=asked.amount - 1)
    assert isinstance(asking.charge(asked, FIRST), Charged)
    for ask in (asking.charge, asking.void):
        with pytest.raises(UnexpectedAnswer):
            ask(wrong, TOO_LATE)
    psp.give_back(asked.order_id)
    for ask in (asking.charge, asking.void):
        assert ask(wrong, TOO_LATE) == Voided()


def test_a_refund_that_was_given_back_in_parts_by_hand_is_found(psp):
    paid = charged(psp)
    psp.give_back(paid.order_id, 3000, 1200)
    with pytest.raises(UnexpectedAnswer):
        asking.refund(paid, FIRST)
    found = asking.refund(paid, AGAIN)
    assert isinstance(found, Refunded)
    assert len(found.refund_id.split(",")) == 2
    assert psp.refunds(paid.order_id) in ([3000, 1200], [1200, 3000])


def test_a_refund_of_which_a_part_is_still_owed_is_not_taken_for_paid(psp):
    paid = charged(psp)
    psp.give_back(paid.order_id, 3000)
    for tried in (FIRST, AGAIN):
        with pytest.raises(UnexpectedAnswer):
            asking.refund(paid, tried)
    psp.give_back(paid.order_id, 1200)
    assert isinstance(asking.refund(paid, AGAIN), Refunded)


def test_a_charge_given_back_in_parts_before_anybody_knew_of_it_is_over(psp):
    asked = payment(psp)
    psp.fault("charge", "lose")
    with pytest.raises(Unavailable):
        asking.charge(asked, FIRST)
    psp.fault("charge", None)
    psp.give_back(asked.order_id, 3000, 1200)
    psp.forget()
    assert asking.void(asked, FIRST) == Voided()


def test_a_creation_that_is_refused_for_good_is_a_decline_and_its_void_has_nothing_to_void(psp):
    asked = payment(psp)
    psp.fault("creation", "refused")
    assert isinstance(asking.charge(asked, FIRST), Declined)
    assert asking.void(asked, FIRST) == Voided()
    psp.fault("creation", None)
    assert psp.charges(asked.order_id) == []


def test_a_charge_under_another_id_than_the_known_one_needs_attention(psp):
    paid = charged(psp)
    with pytest.raises(UnexpectedAnswer, match="was charged as another"):
        asking.void(replace(paid, charge_id="another"), FIRST)


def test_what_fails_too_often_opens_the_circuit_breaker_which_closes_by_itself(psp, monkeypatch):
    monkeypatch.setattr(psp, "settings", psp.settings.model_copy(update=BREAKS))
    paid, asked = charged(psp), payment(psp)
    psp.fault("charge", "error")
    for _ in range(2):
        with pytest.raises(Unavailable, match="500"):
            asking.charge(asked, FIRST)
    with pytest.raises(NotAttempted) as refused:
        asking.charge(asked, FIRST)
    assert 0 < refused.value.seconds <= psp.settings.provider_breaker_seconds
    assert isinstance(asking.refund(paid, FIRST), Refunded), "refunds go on where only charges fail"
    psp.fault("charge", None)
    guard._breaker("charge")._opened -= psp.settings.provider_breaker_seconds + 1  # time passes
    assert isinstance(asking.charge(asked, FIRST), Charged)
    assert isinstance(asking.charge(payment(psp), FIRST), Charged)


def test_a_breaker_opens_again_where_the_next_try_fails_too(psp, monkeypatch):
    monkeypatch.setattr(psp, "settings", psp.settings.model_copy(update=BREAKS))
    asked = payment(psp)
    psp.fault("charge", "error")
    for _ in range(2):
        with pytest.raises(Unavailable):
            asking.charge(asked, FIRST)
    guard._breaker("charge")._opened -= psp.settings.provider_breaker_seconds + 1
    with pytest.raises(Unavailable, match="500"):
        asking.charge(asked, FIRST)
    with pytest.raises(NotAttempted):
        asking.charge(asked, FIRST)


def test_an_answer_that_settles_nothing_is_no_failure_of_the_provider(psp, monkeypatch):
    monkeypatch.setattr(psp, "settings", psp.settings.model_copy(update={"provider_breaker_failures": 1}))
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            asking.charge(payment(psp), TOO_LATE)
