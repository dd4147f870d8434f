"""What a payment provider is to this service, and what it may answer.

Every call may block for `provider_timeout_seconds` a request, and may be made twice, by two workers at once. It raises
Unavailable while the outcome is not known, Pending where the provider says so itself, OutcomeUnknown where its stored
answer is an error that it would only repeat, and UnexpectedAnswer where what it says does not fit what was asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from payment_service.domain import Payment
from waybill.deciders.outcomes import NeedsAttention, Unavailable


@dataclass(frozen=True, slots=True)
class Charged:
    """The money is taken."""

    charge_id: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The money is refused, for good."""

    code: str


@dataclass(frozen=True, slots=True)
class Voided:
    """Nothing is charged for this order and nothing ever will be."""


@dataclass(frozen=True, slots=True)
class Refunded:
    """The whole charge is paid back, in one refund or in parts: their ids then, with commas."""

    refund_id: str


class UnexpectedAnswer(NeedsAttention):
    """The provider answered what it should not: an operator has to compare the records."""


class Pending(Unavailable):
    """The provider is well and not done yet."""


class Provider(Protocol):
    """Take and give back an order's money."""

    def charge(self, payment: Payment) -> Charged | Declined | Voided:
        """Charge under the order's own key, once however often it is called while the provider remembers the key."""
        ...

    def void(self, payment: Payment) -> Voided | Charged:
        """Bar the charge's key for good, or tell that it has charged."""
        ...

    def refund(self, payment: Payment) -> Refunded:
        """Pay back the whole charge, under the refund's own key; never more than was charged."""
        ...

    def find_charge(self, payment: Payment) -> Charged | Declined | Voided | None:
        """Look up by the order's id what came of the charge; None where nothing is settled."""
        ...

    def close(self) -> None:
        """Close what connections there are; nothing may be asked afterwards."""
        ...

    def find_refund(self, payment: Payment) -> Refunded | None:
        """Look up whether the charge was paid back whole, also in parts; None where it was not."""
        ...


def checked_charge(payment: Payment, charge_id: object, amount: object, currency: object, order_id: object) -> Charged:
    """Return the charge that the provider tells of, if it is the one that was asked for.

    Raises:
        UnexpectedAnswer: its id, amount, currency or order is another.

    """
    answer = (amount, str(currency).upper(), str(order_id))
    asked = (payment.amount, payment.currency, str(payment.order_id))
    if answer != asked or not isinstance(charge_id, str) or not charge_id:
        raise UnexpectedAnswer(
            f"asked to charge {asked[0]} {asked[1]} for {asked[2]}, told of {charge_id!r}: "
            f"{amount} {str(currency).upper()} for {order_id}"
        )
    if payment.charge_id and charge_id != payment.charge_id:
        raise UnexpectedAnswer(f"{asked[2]} was charged as {payment.charge_id}, told of {charge_id}")
    return Charged(charge_id)


@dataclass(frozen=True, slots=True)
class Part:
    """What was given back of a charge at once: all of it mostly, or a part by hand, as the provider tells of it."""

    refund_id: object
    amount: object
    currency: object
    charge_id: object


def checked_refund(payment: Payment, parts: Sequence[Part]) -> Refunded:
    """Return the refund that the parts make up, if it is the one that was asked for; its id is theirs, with commas.

    Raises:
        UnexpectedAnswer: their sum is another, or an id, currency or charge is.

    """
    total = sum(part.amount for part in parts if isinstance(part.amount, int | Fraction))
    charges = {(str(part.currency).upper(), part.charge_id) for part in parts}
    ids = [part.refund_id for part in parts if isinstance(part.refund_id, str) and part.refund_id]
    if total != payment.amount or charges != {(payment.currency, payment.charge_id)} or len(ids) != len(parts):
        said = ", ".join(
            f"{part.refund_id!r}: {part.amount} {str(part.currency).upper()} of {part.charge_id}" for part in parts
        )
        asked = f"{payment.amount} {payment.currency} of {payment.charge_id}"
        raise UnexpectedAnswer(f"asked to refund {asked}, told of {said}")
    return Refunded(",".join(ids))


def charge_key(payment: Payment) -> str:
    """Return the idempotency key of the order's charge, and of the void that bars it."""
    return f"charge-{payment.order_id}"


def refund_key(payment: Payment) -> str:
    """Return the idempotency key of the order's refund."""
    return f"refund-{payment.order_id}"
