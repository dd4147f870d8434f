"""Amounts as Stripe writes them.

Ours are minor units as ISO 4217 has them. So are Stripe's, but for the currencies of this table; its source is Stripe's
page "Supported currencies", https://docs.stripe.com/currencies (sections "Zero-decimal currencies", "Three-decimal
currencies" and "Special cases"), as of November 2026, held against ISO 4217's list of minor units:

- ISK and UGX have no minor unit, and Stripe takes two decimals that are always 00.
- MGA has two decimals, and Stripe takes whole ariary.
- Three-decimal currencies must end in 0.

HUF and TWD are special for payouts only. The zero-decimal currencies (BIF, CLP, DJF, GNF, JPY, KMF, KRW, PYG, RWF, VND,
VUV, XAF, XOF, XPF) are the same in both.
"""

from fractions import Fraction
from typing import Final

THEIRS_FOR_ONE_OF_OURS: Final = {"ISK": Fraction(100), "UGX": Fraction(100), "MGA": Fraction(1, 100)}
MULTIPLE_OF: Final = dict.fromkeys(["BHD", "JOD", "KWD", "OMR", "TND"], 10)


class NotRepresentable(ValueError):
    """Stripe has no such amount in this currency."""


def theirs(amount: int, currency: str) -> int:
    """Return the amount as Stripe is asked for it.

    Raises:
        NotRepresentable: it would have to be rounded.

    """
    asked = amount * THEIRS_FOR_ONE_OF_OURS.get(currency.upper(), Fraction(1))
    if asked.denominator != 1 or asked % MULTIPLE_OF.get(currency.upper(), 1):
        raise NotRepresentable(f"{amount} {currency}: Stripe takes no such amount in this currency")
    return int(asked)


def ours(amount: int, currency: str) -> Fraction:
    """Return what Stripe tells of in our minor units; a fraction of one equals no amount of ours."""
    return amount / THEIRS_FOR_ONE_OF_OURS.get(currency.upper(), Fraction(1))
