"""Stripe, through its own SDK: one PaymentIntent an order, with the order's id in its metadata.

A charge creates the PaymentIntent unconfirmed, under the charge's key, and confirms it under another. A void creates it
under the same key, which gives the same one, and cancels it. So the PaymentIntent itself decides which of the two comes
first: a canceled one is never confirmed, a confirmed one never canceled.

Creating charges nothing, and nobody can confirm what nobody was told the id of: where Stripe's stored answer to the
creation is an error, every caller gets that error, and a void may take the charge for voided.

A search may lag by a minute, by an hour on a bad day. What it does not show is therefore never taken as "not charged";
a charge is looked up hours after it was last asked for, or after a stored error, and stays unknown while nothing shows.

A creation that Stripe refuses for this card or amount (stripe_errors.py) made nothing: a charge is then declined, and a
void has nothing to cancel. A charge may be given back in parts, by hand: what counts is the sum.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2 as httpx
import stripe
from stripe import PaymentIntent

from payment_service.domain import Payment
from payment_service.provider import stripe_amounts, stripe_errors
from payment_service.provider.port import (
    Charged,
    Declined,
    Part,
    Pending,
    Refunded,
    UnexpectedAnswer,
    Voided,
    charge_key,
    checked_charge,
    checked_refund,
    refund_key,
)
from payment_service.provider.stripe_errors import Meaning
from payment_service.settings import PaymentSettings
from waybill.deciders.outcomes import OutcomeUnknown, Unavailable
from waybill.runtime.http_client import HttpClient

NEVER_STORED = {409, 429}  # the key is in use, or the request was not begun
SETUP_REMEDY = "correct WAYBILL_STRIPE_API_KEY, or Stripe's account"


class Stripe:
    """Talk to Stripe over connections that are kept alive."""

    def __init__(self, settings: PaymentSettings) -> None:
        assert settings.stripe_api_key is not None
        self._connections = _Connections(settings.provider_timeout_seconds)
        self._stripe = stripe.StripeClient(
            settings.stripe_api_key.get_secret_value(),
            base_addresses={"api": settings.stripe_url},
            http_client=self._connections,
            max_network_retries=0,  # trying again is decided in one place, for every provider
        )

    def close(self) -> None:
        """Close the connections; nothing may be asked afterwards."""
        self._connections.close()

    def charge(self, payment: Payment) -> Charged | Declined | Voided:
        """Create the PaymentIntent and confirm it."""
        intent = self._create(payment)
        if isinstance(intent, Declined):
            return intent
        intent = self._confirm(payment, intent.id)
        if isinstance(intent, Declined):
            return intent
        settled = _settled(payment, intent)
        if settled is None:
            raise Pending(f"{intent.id} of {payment.order_id} is {intent.status}")
        return settled

    def void(self, payment: Payment) -> Voided | Charged:
        """Create the PaymentIntent under the charge's key and cancel it, with whatever else shows for the order."""
        try:
            created = self._create(payment)
            intents = [] if isinstance(created, Declined) else [created]
        except OutcomeUnknown:
            intents = self._search(payment)
        for intent in intents:
            settled = self._cancel(payment, intent.id)
            if isinstance(settled, Charged):
                return settled
        return Voided()

    def refund(self, payment: Payment) -> Refunded:
        """Refund the whole PaymentIntent."""
        assert payment.charge_id is not None
        try:
            with _asked("refund", payment):
                refund = self._stripe.v1.refunds.create(
                    {
                        "payment_intent": payment.charge_id,
                        "amount": stripe_amounts.theirs(payment.amount, payment.currency),
                        "metadata": {"order_id": str(payment.order_id)},
                    },
                    {"idempotency_key": refund_key(payment)},
                )
        except (stripe.InvalidRequestError, stripe.CardError) as error:
            raise _unexpected("refund", payment, error) from error
        return _refunded(payment, [refund])

    def find_charge(self, payment: Payment) -> Charged | Declined | Voided | None:
        """Search by the order's id: a charge counts before all else, and nothing is settled while one may come."""
        settled = [_settled(payment, intent) for intent in self._search(payment)]
        for kind in (Charged, type(None), Declined, Voided):
            for one in settled:
                if isinstance(one, kind):
                    return one
        return None

    def find_refund(self, payment: Payment) -> Refunded | None:
        """List the PaymentIntent's refunds: a list does not lag."""
        assert payment.charge_id is not None
        with _asked("look-up of the refund", payment):
            refunds = self._stripe.v1.refunds.list({"payment_intent": payment.charge_id, "limit": 100}).data
        live = [refund for refund in refunds if refund.status not in {"failed", "canceled"}]
        given_back = sum(stripe_amounts.ours(refund.amount, refund.currency) for refund in live)
        return _refunded(payment, live) if live and given_back >= payment.amount else None

    def _create(self, payment: Payment) -> PaymentIntent | Declined:
        try:
            amount = stripe_amounts.theirs(payment.amount, payment.currency)
        except stripe_amounts.NotRepresentable:
            return Declined("amount_not_representable")
        try:
            with _asked("creation", payment):
                return self._stripe.v1.payment_intents.create(
                    {
                        "amount": amount,
                        "currency": payment.currency.lower(),
                        "payment_method": payment.payment_method,
                        "payment_method_types": ["card"],
                        "metadata": {"order_id": str(payment.order_id)},
                    },
                    {"idempotency_key": charge_key(payment)},
                )
        except (stripe.InvalidRequestError, stripe.CardError) as error:
            if _meaning(error) is not Meaning.DECLINE:
                raise _unexpected("creation", payment, error) from error
            return Declined(error.code or ("unknown_payment_method" if error.param == "payment_method" else "refused"))

    def _confirm(self, payment: Payment, identity: str) -> PaymentIntent | Declined:
        """Confirm; a PaymentIntent that is past that says itself what it is."""
        try:
            with _asked("confirmation", payment):
                intent = self._stripe.v1.payment_intents.confirm(
                    identity,
                    {"error_on_requires_action": True},  # the customer is not there to answer
                    {"idempotency_key": f"confirm-{payment.order_id}"},
                )
            # Under a key the first answer is told again: one that was not final may be by now.
            return intent if intent.status == "succeeded" else self._retrieve(payment, identity)
        except stripe.CardError as error:
            return Declined(error.code or "card_declined")
        except stripe.InvalidRequestError:
            return self._retrieve(payment, identity)
        except OutcomeUnknown:
            intent = self._retrieve(payment, identity)
            if _settled(payment, intent) is None:
                raise
            return intent

    def _cancel(self, payment: Payment, identity: str) -> Voided | Charged:
        try:
            with _asked("cancellation", payment):
                intent = self._stripe.v1.payment_intents.cancel(identity)
        except stripe.InvalidRequestError:
            intent = self._retrieve(payment, identity)
        settled = _settled(payment, intent)
        if isinstance(settled, Voided | Charged):
            return settled
        raise Pending(f"{identity} of {payment.order_id} is {intent.status}")

    def _retrieve(self, payment: Payment, identity: str) -> PaymentIntent:
        with _asked("look-up", payment):
            return self._stripe.v1.payment_intents.retrieve(identity, {"expand": ["latest_charge"]})

    def _search(self, payment: Payment) -> list[PaymentIntent]:
        with _asked("search", payment):
            found = self._stripe.v1.payment_intents.search(
                {
                    "query": f"metadata['order_id']:'{payment.order_id}'",
                    "limit": 100,
                    "expand": ["data.latest_charge"],
                }
            )
        return [intent for intent in found.data if _order_id(intent) == str(payment.order_id)]


class _Connections(stripe.HTTPClient):
    """The SDK's connections: its own clients bound each read, and not the call."""

    name = "httpx2"

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._client = HttpClient(seconds)

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        """Make one request; raises APIConnectionError where no answer comes in time."""
        try:
            answer = self._client.request(method, url, headers=dict(headers or {}), content=post_data)
        except httpx.TransportError as error:
            raise stripe.APIConnectionError(f"{method} {url}: {error!r}") from error
        return answer.text, answer.status_code, answer.headers

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


@contextmanager
def _asked(what: str, payment: Payment) -> Iterator[None]:
    """Raise what the port says; a decline and a refusal of the request are the caller's to read."""
    try:
        yield
    except stripe.StripeError as error:
        said = f"stripe: {what} of {payment.order_id}: {error.http_status} {error.user_message or error!r}"
        match _meaning(error):
            case Meaning.SETUP:
                raise Unavailable(f"{said}; {SETUP_REMEDY}") from error
            case Meaning.TRANSIENT:
                stored = error.http_status not in NEVER_STORED and _header(error, "idempotent-replayed") == "true"
                raise (OutcomeUnknown if stored else Unavailable)(said) from error
            case Meaning.DECLINE | Meaning.DEFECT:
                if isinstance(error, stripe.CardError | stripe.InvalidRequestError):
                    raise
                raise _unexpected(what, payment, error) from error


def _meaning(error: stripe.StripeError) -> Meaning:
    return stripe_errors.classify(error.http_status, error.code, getattr(error, "param", None))


def _header(error: stripe.StripeError, name: str) -> str | None:
    return next((value for key, value in (error.headers or {}).items() if key.lower() == name), None)


def _settled(payment: Payment, intent: PaymentIntent) -> Charged | Declined | Voided | None:
    match intent.status:
        case "succeeded" if getattr(intent.latest_charge, "refunded", False):
            return Voided()
        case "succeeded":
            amount = stripe_amounts.ours(intent.amount, intent.currency)
            return checked_charge(payment, intent.id, amount, intent.currency, _order_id(intent))
        case "canceled":
            return Voided()
        case "requires_payment_method" if intent.last_payment_error:
            return Declined(getattr(intent.last_payment_error, "code", None) or "card_declined")
        case _:
            return None


def _order_id(intent: PaymentIntent) -> str | None:
    return getattr(intent.metadata, "order_id", None)


def _refunded(payment: Payment, refunds: Sequence[stripe.Refund]) -> Refunded:
    """Return the refund that these parts make up, one or several; each part is checked."""
    for refund in refunds:
        if refund.status == "pending":
            raise Pending(f"refund {refund.id} of {payment.order_id} is pending")
        if refund.status != "succeeded":
            raise UnexpectedAnswer(f"refund {refund.id} of {payment.order_id} is {refund.status}: the money is owed")
    return checked_refund(
        payment,
        [
            Part(refund.id, stripe_amounts.ours(refund.amount, refund.currency), refund.currency, refund.payment_intent)
            for refund in refunds
        ],
    )


def _unexpected(what: str, payment: Payment, error: stripe.StripeError) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"stripe: {what} of {payment.order_id}: {error.http_status} {error.user_message or error!r}"
    )
