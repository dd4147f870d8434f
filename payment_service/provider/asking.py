"""Asking a provider again: which question is safe after an answer that did not come.

The same key charges once only while the provider remembers it, and is useless once its stored answer is an error. So a
charge is asked for under its key within a bound (`provider_ask_for`, well below the provider's memory); past it, or
after a stored error, it is looked up by the order's id and never asked for again. While nothing is found the outcome is
unknown; the due row needs attention past the next bound (`attention_after`), and the look-up goes on.

A charge that was given back whole in the provider's own records counts as voided: so an operator ends what went wrong.

A void looks first, since the charge's key may be older than itself, and then bars the key. A refund looks first from
its second attempt on; to ask for it again is safe at any age, because no provider gives back more than was charged.
"""

from functools import cache

from payment_service.domain import Payment
from payment_service.provider.guard import guarded, twice
from payment_service.provider.port import Charged, Declined, Provider, Refunded, UnexpectedAnswer, Voided
from payment_service.settings import PaymentSettings
from waybill.deciders.outcomes import OutcomeUnknown
from waybill.deciders.service import Tried
from waybill.runtime.settings import read


def charge(payment: Payment, tried: Tried) -> Charged | Declined | Voided:
    """Charge the payment; raises Unavailable while the outcome is unknown, UnexpectedAnswer where it is wrong."""
    provider = chosen()
    with guarded("charge"):
        if not tried.look_up_only and tried.seconds < read(PaymentSettings).provider_ask_for.total_seconds():
            try:
                return twice(lambda: provider.charge(payment))
            except (OutcomeUnknown, UnexpectedAnswer) as stored:  # asking again would bring the same answer
                why = stored
        else:
            why = OutcomeUnknown(f"the provider shows no charge for {payment.order_id}; it is not asked for again")
        found = twice(lambda: provider.find_charge(payment))
        if found is None:
            raise why
        return found


def void(payment: Payment, _: Tried) -> Voided | Charged:
    """Bar the charge, or learn that it has happened; raises Unavailable while that is unknown."""
    provider = chosen()
    with guarded("void"):
        found = twice(lambda: provider.find_charge(payment))
        if isinstance(found, Voided | Charged):
            return found
        return twice(lambda: provider.void(payment))


def refund(payment: Payment, tried: Tried) -> Refunded:
    """Pay back the whole charge; raises Unavailable while that is unknown."""
    provider = chosen()
    with guarded("refund"):
        if tried.times > 1:
            found = twice(lambda: provider.find_refund(payment))
            if found is not None:
                return found
        return twice(lambda: provider.refund(payment))


@cache
def chosen() -> Provider:
    """Return the provider that the settings name; the next call returns the same."""
    settings = read(PaymentSettings)
    if settings.provider == "stripe":
        from payment_service.provider.stripe import Stripe

        return Stripe(settings)
    from payment_service.provider.simulator import Simulator

    return Simulator(settings)
