"""The simulated provider of the local stack, over HTTP: one request a charge, a void or a refund."""

from typing import Any

import httpx2 as httpx

from payment_service.domain import Payment
from payment_service.provider.port import (
    Charged,
    Declined,
    Part,
    Refunded,
    UnexpectedAnswer,
    Voided,
    charge_key,
    checked_charge,
    checked_refund,
    refund_key,
)
from payment_service.settings import PaymentSettings
from waybill.deciders.outcomes import OutcomeUnknown, Unavailable
from waybill.runtime.http_client import HttpClient


class Simulator:
    """Talk to the simulator over connections that are kept alive."""

    def __init__(self, settings: PaymentSettings) -> None:
        self._client = HttpClient(settings.provider_timeout_seconds, base_url=settings.provider_url)

    def close(self) -> None:
        """Close the connections; nothing may be asked afterwards."""
        self._client.close()

    def charge(self, payment: Payment) -> Charged | Declined | Voided:
        """Charge, unless the key was voided."""
        body = {
            "order_id": str(payment.order_id),
            "amount": payment.amount,
            "currency": payment.currency,
            "payment_method": payment.payment_method,
        }
        answer = self._post("/v1/charges", charge_key(payment), body)
        match answer.status_code, answer.json():
            case 200, {"status": "charged", **charged}:
                return _charged(payment, charged)
            case 402, {"status": "declined", "code": str(code)}:
                return Declined(code)
            case 409, {"status": "voided"}:
                return Voided()
            case 422, {"status": "bad_request"}:
                return Declined("refused")
            case _:
                raise _unexpected("charge", payment, answer)

    def void(self, payment: Payment) -> Voided | Charged:
        """Leave a tombstone under the charge's key, unless it has charged."""
        answer = self._post("/v1/voids", charge_key(payment), {"order_id": str(payment.order_id)})
        match answer.status_code, answer.json():
            case 200, {"status": "voided"}:
                return Voided()
            case 409, {"status": "charged", "charge": dict(charged)}:
                return _charged(payment, charged)
            case _:
                raise _unexpected("void", payment, answer)

    def refund(self, payment: Payment) -> Refunded:
        """Pay back the whole charge."""
        body = {"order_id": str(payment.order_id), "charge_id": payment.charge_id, "amount": payment.amount}
        answer = self._post("/v1/refunds", refund_key(payment), body)
        match answer.status_code, answer.json():
            case 200, {"status": "refunded", **refunded}:
                return checked_refund(payment, [_part(refunded)])
            case _:
                raise _unexpected("refund", payment, answer)

    def find_charge(self, payment: Payment) -> Charged | Voided | None:
        """Look in the ledger: a charge counts before a void; a decline leaves nothing there."""
        for charged in self._items("/v1/charges", payment):
            return _charged(payment, charged)
        return Voided() if self._items("/v1/voids", payment) else None

    def find_refund(self, payment: Payment) -> Refunded | None:
        """Look in the ledger."""
        parts = [_part(refunded) for refunded in self._items("/v1/refunds", payment)]
        given_back = sum(int(str(part.amount)) for part in parts)
        return checked_refund(payment, parts) if parts and given_back >= payment.amount else None

    def _post(self, path: str, key: str, body: dict[str, Any]) -> httpx.Response:
        return self._answered("POST", path, json=body, headers={"Idempotency-Key": key})

    def _items(self, path: str, payment: Payment) -> list[dict[str, Any]]:
        answer = self._answered("GET", path, params={"order_id": str(payment.order_id)})
        if answer.status_code != httpx.codes.OK:
            raise _unexpected("look-up", payment, answer)
        return list(answer.json()["items"])

    def _answered(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **given)
        except httpx.TransportError as error:
            raise Unavailable(f"provider: {path}: {error!r}") from error
        if answer.is_server_error:
            # An error that is stored under the key is answered to every retry: only a look-up can tell more.
            stored = answer.headers.get("Idempotent-Replayed") == "true"
            raise (OutcomeUnknown if stored else Unavailable)(f"provider: {path}: {answer.status_code}")
        return answer


def _charged(payment: Payment, given: dict[str, Any]) -> Charged | Voided:
    # Given back by hand before anybody here knew of the charge: nothing is owed, as after a void.
    if given.get("status") == "refunded":
        return Voided()
    return checked_charge(payment, given.get("id"), given.get("amount"), given.get("currency"), given.get("order_id"))


def _part(given: dict[str, Any]) -> Part:
    return Part(given.get("id"), given.get("amount"), given.get("currency"), given.get("charge_id"))


def _unexpected(what: str, payment: Payment, answer: httpx.Response) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"{what} of {payment.order_id}: {answer.status_code} {answer.text[:200]}")
