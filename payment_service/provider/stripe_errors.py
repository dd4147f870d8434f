"""What an error of Stripe's says of the payment: by its code, else by its HTTP status and parameter, in one table.

Sources: https://docs.stripe.com/api/errors (statuses, types), https://docs.stripe.com/error-codes (codes). Only what is
said of this card, amount or currency declines the payment. A wrong key or an account that may not charge would decline
every order while it lasts, and what our own request has wrong is no customer's fault.
"""

from enum import Enum
from typing import Final


class Meaning(Enum):
    """What follows from an error."""

    DECLINE = "decline"
    """This payment is refused, however often it is asked for."""
    TRANSIENT = "transient"
    """It ends by itself: retried."""
    SETUP = "setup"
    """Our key or account must be corrected by an operator; until then retried."""
    DEFECT = "defect"
    """Our request is wrong: an operator has to look."""


STATUSES: Final = {
    401: Meaning.SETUP,  # no valid API key
    402: Meaning.DECLINE,  # the parameters were valid but the request failed: card errors
    403: Meaning.SETUP,  # the key has no permission
    409: Meaning.TRANSIENT,  # the same idempotency key is in use
    424: Meaning.TRANSIENT,  # something external to Stripe failed
    429: Meaning.TRANSIENT,  # too many requests, or an object locked by another
}
CODES: Final = {
    "account_invalid": Meaning.SETUP,
    "amount_too_large": Meaning.DECLINE,
    "amount_too_small": Meaning.DECLINE,
    "api_key_expired": Meaning.SETUP,
    "country_unsupported": Meaning.SETUP,
    "idempotency_key_in_use": Meaning.TRANSIENT,
    "invalid_charge_amount": Meaning.DECLINE,
    "livemode_mismatch": Meaning.SETUP,
    "lock_timeout": Meaning.TRANSIENT,
    "payment_intent_incompatible_payment_method": Meaning.DECLINE,
    "payment_method_currency_mismatch": Meaning.DECLINE,
    "payment_method_unactivated": Meaning.SETUP,
    "payment_method_unexpected_state": Meaning.DECLINE,
    "platform_api_key_expired": Meaning.SETUP,
    "rate_limit": Meaning.TRANSIENT,
    "secret_key_required": Meaning.SETUP,
    "testmode_charges_only": Meaning.SETUP,
    "tls_version_unsupported": Meaning.SETUP,
    "token_already_used": Meaning.DECLINE,
}
PAYMENT_PARAMETERS: Final = frozenset({"amount", "currency", "payment_method"})
CLIENT_ERRORS: Final = range(400, 500)


def classify(status: int | None, code: str | None, param: str | None) -> Meaning:
    """Return what follows from an error answer."""
    if code in CODES:
        return CODES[code]
    if status in STATUSES:
        return STATUSES[status]
    if status not in CLIENT_ERRORS:
        return Meaning.TRANSIENT
    return Meaning.DECLINE if param in PAYMENT_PARAMETERS else Meaning.DEFECT
