"""The payment provider over HTTP. May block for `provider_timeout_seconds` times `provider_tries`.

Every call carries a key of its own order, so calling twice charges, voids or refunds once. What the provider answers is
checked, not trusted.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx2 as httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from chassis.outcomes import Unavailable
from chassis.settings import read
from payment_service.domain import Payment
from payment_service.settings import PaymentSettings


@dataclass(frozen=True, slots=True)
class Charged:
    """The money is taken."""

    charge_id: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The money is refused."""

    code: str


@dataclass(frozen=True, slots=True)
class Barred:
    """There is no charge under this key and there never will be."""


class UnexpectedAnswer(Exception):
    """The provider answered what it should not: an operator has to look."""


def charge(payment: Payment) -> Charged | Declined | Barred:
    """Charge the payment; raises Unavailable while the outcome is unknown."""
    body = {
        "order_id": str(payment.order_id),
        "amount": payment.amount,
        "currency": payment.currency,
        "payment_method": payment.payment_method,
    }
    answer = _post("/v1/charges", _charge_key(payment), body)
    match answer.status_code, answer.json().get("status"):
        case 200, "charged":
            return _checked(payment, answer.json())
        case 402, "declined":
            return Declined(str(answer.json()["code"]))
        case 409, "voided":
            return Barred()
        case _:
            raise UnexpectedAnswer(f"charge of {payment.order_id}: {answer.status_code} {answer.text[:200]}")


def void(payment: Payment) -> Barred | Charged:
    """Bar the charge, or learn that it has happened; raises Unavailable while that is unknown."""
    answer = _post("/v1/voids", _charge_key(payment), {"order_id": str(payment.order_id)})
    match answer.status_code, answer.json().get("status"):
        case 200, "voided":
            return Barred()
        case 409, "charged":
            return _checked(payment, answer.json()["charge"])
        case _:
            raise UnexpectedAnswer(f"void of {payment.order_id}: {answer.status_code} {answer.text[:200]}")


def refund(payment: Payment) -> str:
    """Pay back the whole charge and return the refund's id; raises Unavailable while that is unknown."""
    body = {"order_id": str(payment.order_id), "charge_id": payment.charge_id, "amount": payment.amount}
    answer = _post("/v1/refunds", f"refund-{payment.order_id}", body)
    paid = answer.json()
    if (answer.status_code, paid.get("status"), paid.get("amount")) != (200, "refunded", payment.amount):
        raise UnexpectedAnswer(f"refund of {payment.order_id}: {answer.status_code} {answer.text[:200]}")
    return str(paid["id"])


def _charge_key(payment: Payment) -> str:
    return f"charge-{payment.order_id}"


def _checked(payment: Payment, charged: dict[str, Any]) -> Charged:
    if (charged["amount"], charged["currency"]) != (payment.amount, payment.currency):
        raise UnexpectedAnswer(
            f"{payment.order_id}: asked for {payment.amount} {payment.currency}, "
            f"charged {charged['amount']} {charged['currency']}"
        )
    return Charged(str(charged["id"]))


def _post(path: str, key: str, body: dict[str, Any]) -> httpx.Response:
    try:
        for attempt in Retrying(
            retry=retry_if_exception_type((httpx.TransportError, httpx.HTTPStatusError)),
            stop=stop_after_attempt(read(PaymentSettings).provider_tries),
            wait=wait_random_exponential(0.05, 1),
            reraise=True,
        ):
            with attempt:
                answer = _client().post(path, json=body, headers={"Idempotency-Key": key})
                if answer.is_server_error:
                    answer.raise_for_status()
    except (httpx.TransportError, httpx.HTTPStatusError) as error:
        raise Unavailable(f"provider: {path}: {error!r}") from error
    return answer


@cache
def _client() -> httpx.Client:
    settings = read(PaymentSettings)
    return httpx.Client(base_url=settings.provider_url, timeout=settings.provider_timeout_seconds)
