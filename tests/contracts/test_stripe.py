"""What only Stripe does: it takes our requests by its own description, searches with a lag, and fails refunds later."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import stripe as sdk

from payment_service.provider.port import Charged, Declined, Pending, UnexpectedAnswer, Voided
from payment_service.provider.stripe import Stripe
from tests.support.providers import harness, stripe_mock
from tests.support.providers.harness import StripeHarness, payment
from waybill.deciders.outcomes import OutcomeUnknown, Unavailable


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[StripeHarness]:
    with harness.stripe(tmp_path_factory.mktemp("stripe")) as found:
        yield found


@pytest.fixture
def psp(running) -> Iterator[StripeHarness]:
    running.proxy.faults.clear()
    running.proxy.refusals.clear()
    running.proxy.posts.clear()
    yield running
    running.proxy.blind = False


@pytest.fixture
def stripe(psp) -> Iterator[Stripe]:
    adapter = Stripe(psp.settings)
    yield adapter
    adapter.close()


@pytest.fixture(scope="module")
def described(tmp_path_factory) -> Iterator[Stripe]:
    """Stripe as its own description has it: every request is checked, and answered from a fixture."""
    with stripe_mock.running(tmp_path_factory.mktemp("stripe-mock")) as url:
        adapter = Stripe(harness.at_stripe(url))
        yield adapter
        adapter.close()


mocked = pytest.mark.timeout(400)  # the first run builds stripe-mock


@mocked
def test_stripe_mock_refuses_what_stripe_does_not_know(described):
    with pytest.raises(sdk.InvalidRequestError, match="additional properties"):
        described._stripe.v1.payment_intents.create({"amount": 1, "currency": "eur", "surprise": 1})


@mocked
def test_stripes_description_takes_every_request_of_ours(described, psp):
    """The fixtures know nothing of ours, so each ends as the port says of such an answer, and none as refused."""
    asked = payment(psp)
    paid = payment(psp, charge_id="pi_123")
    assert described.charge(asked) == Declined("card_declined")
    with pytest.raises(Pending, match="requires_payment_method"):
        described.void(asked)
    assert described.find_charge(asked) is None
    with pytest.raises(UnexpectedAnswer, match=r"asked to refund 4200 EUR of pi_123, .* 4200 USD"):
        described.refund(paid)
    assert described.find_refund(paid) is None


def test_a_search_that_lags_does_not_make_a_void_miss_the_charge(stripe, psp):
    asked = payment(psp)
    charged = stripe.charge(asked)
    psp.proxy.blind = True
    assert stripe.find_charge(asked) is None
    assert stripe.void(asked) == charged


def test_a_charge_behind_a_stored_error_of_the_confirmation_needs_no_search(stripe, psp):
    asked = payment(psp)
    psp.fault("charge", "late_error")
    with pytest.raises(Unavailable):
        stripe.charge(asked)
    psp.proxy.blind = True
    assert isinstance(stripe.charge(asked), Charged)
    assert psp.charges(asked.order_id) == [4200]


@pytest.mark.parametrize("fault", ["stored_error", "late_error"])
def test_a_void_after_a_stored_error_of_the_creation_ends_it(stripe, psp, fault):
    asked = payment(psp)
    psp.fault("payment_intents", fault)
    with pytest.raises(Unavailable):
        stripe.charge(asked)
    psp.fault("payment_intents", None)
    with pytest.raises(OutcomeUnknown):
        stripe.charge(asked)
    assert stripe.void(asked) == Voided()
    with pytest.raises(OutcomeUnknown):
        stripe.charge(asked)
    assert psp.charges(asked.order_id) == []


def test_a_charge_that_was_canceled_in_the_dashboard_is_voided_and_one_that_was_made_there_is_found(stripe, psp):
    asked = payment(psp)
    psp.fault("charge", "stored_error")
    for _ in range(2):
        with pytest.raises(Unavailable):
            stripe.charge(asked)
    psp.fault("charge", None)
    (intent,) = psp._intents(asked.order_id)
    credentials = {"authorization": f"Bearer {harness.KEY}"}
    psp.proxy.upstream.post(f"/v1/payment_intents/{intent['id']}/confirm", headers=credentials).raise_for_status()
    assert stripe.find_charge(asked) == Charged(intent["id"])
    another = payment(psp)
    intent = stripe._create(another)
    psp.proxy.upstream.post(f"/v1/payment_intents/{intent.id}/cancel", headers=credentials).raise_for_status()
    assert stripe.charge(another) == Voided()


def test_a_refund_that_failed_is_owed_and_not_taken_for_paid(stripe, psp):
    asked = payment(psp)
    paid = payment(psp, order_id=asked.order_id, charge_id=stripe.charge(asked).charge_id)
    psp.fault("refund", "failed")
    with pytest.raises(UnexpectedAnswer, match="the money is owed"):
        stripe.refund(paid)
    assert stripe.find_refund(paid) is None


@pytest.mark.parametrize(
    ("currency", "amount", "theirs"),
    [("ISK", 5, 500), ("UGX", 5, 500), ("MGA", 500, 5), ("KWD", 5120, 5120), ("JPY", 500, 500), ("HUF", 1045, 1045)],
)
def test_stripe_is_asked_in_its_own_units_and_told_of_in_ours(stripe, psp, currency, amount, theirs):
    asked = payment(psp, amount=amount, currency=currency)
    charged = stripe.charge(asked)
    assert isinstance(charged, Charged)
    assert psp.charges(asked.order_id) == [theirs]
    assert stripe.find_charge(asked) == charged
    paid = replace(asked, charge_id=charged.charge_id)
    refunded = stripe.refund(paid)
    assert psp.refunds(asked.order_id) == [theirs]
    assert stripe.find_refund(paid) == refunded


@pytest.mark.parametrize(("currency", "amount"), [("KWD", 5124), ("TND", 1), ("MGA", 550)])
def test_an_amount_that_stripe_would_have_to_round_is_declined_unasked_and_its_void_has_nothing_to_void(
    stripe, psp, currency, amount
):
    asked = payment(psp, amount=amount, currency=currency)
    assert stripe.charge(asked) == Declined("amount_not_representable")
    assert stripe.void(asked) == Voided()
    assert psp.proxy.posts == []


def test_a_charge_in_another_unit_than_stripes_own_needs_attention(stripe, psp):
    asked = payment(psp, amount=500, currency="ISK")
    stripe.charge(replace(asked, amount=5))
    with pytest.raises(UnexpectedAnswer, match=r"asked to charge 500 ISK .*: 5 ISK"):
        stripe.find_charge(asked)


def test_a_key_that_stripe_does_not_know_is_a_failure_of_the_environment(stripe, psp):
    keyless = Stripe(psp.settings.model_copy(update={"stripe_api_key": type(psp.settings.stripe_api_key)("nonsense")}))
    with pytest.raises(Unavailable, match="Unauthorized"):
        keyless.charge(payment(psp))
    keyless.close()


def refusal(kind, code=None, param=None):
    return {"type": kind, "code": code, "param": param, "message": "no"}


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, refusal("invalid_request_error", "amount_too_small"), "amount_too_small"),
        (400, refusal("invalid_request_error", None, "currency"), "refused"),
        (404, refusal("invalid_request_error", "resource_missing", "payment_method"), "resource_missing"),
        (402, refusal("card_error", "expired_card"), "expired_card"),
    ],
)
def test_a_creation_that_is_refused_for_its_card_or_amount_is_a_decline(stripe, psp, status, error, code):
    asked = payment(psp)
    psp.proxy.refusals["payment_intents"] = (status, error)
    assert stripe.charge(asked) == Declined(code)
    assert stripe.void(asked) == Voided()


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (400, refusal("invalid_request_error", "testmode_charges_only"), "correct WAYBILL_STRIPE_API_KEY"),
        (401, refusal("invalid_request_error", "api_key_expired"), "correct WAYBILL_STRIPE_API_KEY"),
        (403, refusal("invalid_request_error"), "correct WAYBILL_STRIPE_API_KEY"),
        (409, refusal("idempotency_error", "idempotency_key_in_use"), "409"),
        (424, refusal("api_error"), "424"),
        (429, refusal("invalid_request_error", "lock_timeout"), "429"),
        (500, refusal("api_error"), "500"),
    ],
)
def test_a_creation_that_fails_for_another_reason_is_no_decline(stripe, psp, status, error, said):
    asked = payment(psp)
    psp.proxy.refusals["payment_intents"] = (status, error)
    for ask in (stripe.charge, stripe.void):
        with pytest.raises(Unavailable, match=said):
            ask(asked)
    psp.proxy.refusals.clear()
    assert isinstance(stripe.charge(asked), Charged)


def test_a_creation_whose_request_is_wrong_is_no_decline_and_needs_attention(stripe, psp):
    psp.proxy.refusals["payment_intents"] = (
        400,
        refusal("invalid_request_error", "parameter_unknown", "surprise"),
    )
    for ask in (stripe.charge, stripe.void):
        with pytest.raises(UnexpectedAnswer, match="400 'no'"):
            ask(payment(psp))
