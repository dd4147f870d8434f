"""The payment provider, the only outside call: how it is asked, and asked again.

`asking` has the rules, which hold for every provider; `port` what a provider is; `simulator` and `stripe` are the two
that there are, chosen by `WAYBILL_PROVIDER`; `guard` spares one that fails.
"""

from payment_service.provider.asking import charge, refund, void
from payment_service.provider.guard import open_breakers
from payment_service.provider.port import Charged, Declined, Refunded, UnexpectedAnswer, Voided

__all__ = ["Charged", "Declined", "Refunded", "UnexpectedAnswer", "Voided", "charge", "open_breakers", "refund", "void"]
