"""What a payment provider is to this service, and what it may answer.

Every call may block for `provider_timeout_seconds` a request, and may be made twice, by two workers at once. It raises
Unavailable while the outcome is not known, Pending where the provider says so itself, OutcomeUnknown where its stored
answer is an error that it would only repeat, and UnexpectedAnswer where what it says does not fit what was asked.
"""

from dataclasses import dataclass
from typing import Protocol

from chassis.outcomes import NeedsAttention, Unavailable
from payment_service.domain import Payment


@dataclass(frozen=True, slots=True)
class Charged:
    """The money is taken."""

    charge_id: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The money is refused, for good."""

    code: str


@dataclass(frozen=True, slots=True)
class Barred:
    """Nothing is charged for this order and nothing ever will be."""


@dataclass(frozen=True, slots=True)
class Refunded:
    """The whole charge is paid back."""

    refund_id: str


class UnexpectedAnswer(NeedsAttention):
    """The provider answered what it should not: an operator has to compare the books."""


class Pending(Unavailable):
    """The provider is well and not done yet."""


class Provider(Protocol):
    """Take and give back an order's money."""

    def charge(self, payment: Payment) -> Charged | Declined | Barred:
        """Charge under the order's own key, once however often it is called while the provider remembers the key."""
        ...

    def void(self, payment: Payment) -> Barred | Charged:
        """Bar the charge's key for good, or tell that it has charged."""
        ...

    def refund(self, payment: Payment) -> Refunded:
        """Pay back the whole charge, under the refund's own key; never more than was charged."""
        ...

    def find_charge(self, payment: Payment) -> Charged | Declined | Barred | None:
        """Look up by the order's id what came of the charge; None where nothing is settled."""
        ...

    def close(self) -> None:
        """Close what connections there are; nothing may be asked afterwards."""
        ...

    def find_refund(self, payment: Payment) -> Refunded | None:
        """Look up whether the charge was paid back."""
        ...


def checked_charge(payment: Payment, charge_id: object, amount: object, currency: object, order_id: object) -> Charged:
    """Return the charge that the provider tells of, if it is the one that was asked for.

    Raises:
        UnexpectedAnswer: its id, amount, currency or order is another.

    """
    told = (amount, str(currency).upper(), str(order_id))
    asked = (payment.amount, payment.currency, str(payment.order_id))
    if told != asked or not isinstance(charge_id, str) or not charge_id:
        raise UnexpectedAnswer(
            f"asked to charge {asked[0]} {asked[1]} for {asked[2]}, told of {charge_id!r}: "
            f"{amount} {str(currency).upper()} for {order_id}"
        )
    if payment.charge_id and charge_id != payment.charge_id:
        raise UnexpectedAnswer(f"{asked[2]} was charged as {payment.charge_id}, told of {charge_id}")
    return Charged(charge_id)


def checked_refund(
    payment: Payment, refund_id: object, amount: object, currency: object, charge_id: object
) -> Refunded:
    """Return the refund that the provider tells of, if it is the one that was asked for.

    Raises:
        UnexpectedAnswer: its id, amount, currency or charge is another.

    """
    told = (amount, str(currency).upper(), charge_id)
    asked = (payment.amount, payment.currency, payment.charge_id)
    if told != asked or not isinstance(refund_id, str) or not refund_id:
        raise UnexpectedAnswer(
            f"asked to refund {asked[0]} {asked[1]} of {asked[2]}, told of {refund_id!r}: "
            f"{amount} {str(currency).upper()} of {charge_id}"
        )
    return Refunded(refund_id)


def charge_key(payment: Payment) -> str:
    """Return the idempotency key of the order's charge, and of the void that bars it."""
    return f"charge-{payment.order_id}"


def refund_key(payment: Payment) -> str:
    """Return the idempotency key of the order's refund."""
    return f"refund-{payment.order_id}"
