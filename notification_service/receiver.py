"""Customers' receivers of webhooks: signed messages, sent where the customer said and nowhere inside our network.

Messages are those of Standard Webhooks (standardwebhooks.com): `webhook-id` is the same at every try, and
`webhook-signature` has one signature for each valid secret. The customer names the host, so: https alone, only
addresses of the public internet, checked after each resolution on the address that is then connected to, no redirect
followed, no proxy of the environment, one deadline for the whole, and the answer's body is not read.
"""

import base64
import hmac
import json
import re
import secrets
import ssl
import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from http import HTTPStatus
from typing import Final

import httpx2 as httpx

from notification_service.domain import Delivery, Kind
from notification_service.models import DeliveryRow
from notification_service.settings import NotificationSettings
from waybill.deciders.outcomes import NotAttempted
from waybill.runtime import outside
from waybill.runtime.http_client import AddressRefused, HttpClient
from waybill.runtime.public_address import is_public
from waybill.runtime.settings import read, settings

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what a secret begins with
SECRET_BYTES: Final = 32
LONGEST_URL: Final = 2_048
PLAIN: Final = re.compile(r"[\x21-\x7e]+")
PORTS: Final = 65_536
RESOLVE_SECONDS: Final = 2.0  # of a name, while its owner waits for the answer to the registration
BUSY_SECONDS: Final = 5.0
TYPES: Final = {
    Kind.ORDER_CONFIRMED: "order.confirmed",
    Kind.ORDER_CANCELLED: "order.cancelled",
    Kind.PAYMENT_REFUNDED: "payment.refunded",
}
STATUSES: Final = {
    Kind.ORDER_CONFIRMED: "CONFIRMED",
    Kind.ORDER_CANCELLED: "CANCELLED",
    Kind.PAYMENT_REFUNDED: "REFUNDED",
}


class Failure(StrEnum):
    """Why there was no answer; an answer's code is `http_` with its status."""

    TIMED_OUT = "timed_out"
    NOT_CONNECTED = "not_connected"
    CONNECTION_BROKEN = "connection_broken"
    TLS_FAILED = "tls_failed"
    ADDRESS_NOT_PUBLIC = "address_not_public"


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a receiver does not have the message, as a stable code; and what it asked to wait, in seconds."""

    code: str
    retry_after_seconds: float = 0


class UrlRefused(Exception):
    """A URL that nothing is delivered to; the message says why, and nothing of what is inside our network."""


def new_secret() -> str:
    """Return a secret as Standard Webhooks writes it."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def check(url: str) -> None:
    """Raise UrlRefused where nothing can be delivered to the URL; blocks RESOLVE_SECONDS at most."""
    told = read(NotificationSettings)
    if not PLAIN.fullmatch(url):
        raise UrlRefused("has other characters than a URL: percent-encode its path, and write its host in Punycode")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise UrlRefused("not a URL") from None
    if parsed.scheme != "https" and not (parsed.scheme == "http" and told.webhook_allow_http):
        raise UrlRefused("not an https URL")
    if not parsed.host or parsed.userinfo or parsed.fragment or len(url) > LONGEST_URL:
        raise UrlRefused(f"needs a host, no user, no fragment, and at most {LONGEST_URL} characters")
    if parsed.port is not None and not 0 < parsed.port < PORTS:
        raise UrlRefused(f"its port is not below {PORTS}")
    try:
        with outside.within(RESOLVE_SECONDS):
            found = outside.addresses(parsed.raw_host.decode(), parsed.port or 443)
    except (OSError, UnicodeError):  # a label of more than 63 characters
        found = []
    if not any(_may_reach(str(address[0])) for *_, address in found):
        raise UrlRefused("its host does not lead to a public address")


def deliver(url: str, valid_secrets: Sequence[str], delivery: Delivery, requested_at: datetime) -> Failed | None:
    """Send the message once; returns why the receiver does not have it, or None where it has.

    Raises NotAttempted where the customer's other receivers keep their share of the threads.
    """
    told = read(NotificationSettings)
    body = payload(delivery, requested_at)
    message_id, sent_at = message_id_of(delivery), int(time.time())
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(sent_at),
        "webhook-signature": " ".join(sign(secret, message_id, sent_at, body) for secret in valid_secrets),
    }
    timeout = httpx.Timeout(told.webhook_timeout_seconds, connect=told.webhook_connect_seconds)
    client = _client(told.webhook_timeout_seconds)
    try:
        with (
            _turn(delivery.customer_id),
            outside.within(told.webhook_timeout_seconds),
            client.stream("POST", url, content=body, headers=headers, timeout=timeout) as answer,
        ):
            return _said(answer)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        return Failed(_code(error))


def payload(delivery: Delivery, requested_at: datetime) -> bytes:
    """Return the message's body: the same bytes at every try."""
    told = {
        "type": TYPES[delivery.kind],
        "timestamp": requested_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {"order_id": str(delivery.order_id), "status": STATUSES[delivery.kind]},
    }
    return json.dumps(told, separators=(",", ":")).encode()


def message_id_of(delivery: Delivery | DeliveryRow) -> str:
    """Return what the receiver knows the message by, at every try and redelivery."""
    return f"msg_{delivery.delivery_id.hex}"


def sign(secret: str, message_id: str, sent_at: int, body: bytes) -> str:
    """Return the message's signature, version 1 of Standard Webhooks."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = b".".join([message_id.encode(), str(sent_at).encode(), body])
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def is_code(text: str | None) -> bool:
    """Tell whether a text is what a try met, and nothing of ours that a customer shall not see."""
    return text is not None and (text in set(Failure) or re.fullmatch("http_[1-5][0-9]{2}", text) is not None)


def _said(answer: httpx.Response) -> Failed | None:
    if answer.is_success:
        return None
    waits = answer.status_code in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
    asked = answer.headers.get("retry-after", "")
    seconds = float(asked) if waits and asked.isascii() and asked.isdigit() and len(asked) <= len("86400") else 0.0
    return Failed(f"http_{answer.status_code}", seconds)


def _code(error: Exception) -> str:
    causes = list(_chain(error))
    if any(isinstance(one, AddressRefused) for one in causes):
        return Failure.ADDRESS_NOT_PUBLIC
    if any(isinstance(one, ssl.SSLError) for one in causes):
        return Failure.TLS_FAILED
    if isinstance(error, httpx.TimeoutException):
        return Failure.TIMED_OUT
    return Failure.NOT_CONNECTED if isinstance(error, httpx.ConnectError) else Failure.CONNECTION_BROKEN


def _chain(error: BaseException | None) -> Generator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _may_reach(address: str) -> bool:
    return read(NotificationSettings).webhook_allow_private or is_public(address)


@cache
def _client(seconds: float) -> HttpClient:
    """Return the client: each delivery connects anew, so that each checks the address it is sent to."""
    return HttpClient(
        seconds,
        may_reach=_may_reach,
        trust_env=False,
        follow_redirects=False,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        headers={"user-agent": "waybill-webhooks/1", "accept-encoding": "identity"},
    )


_under_way: Counter[str] = Counter()
_counting = threading.Lock()


@contextmanager
def _turn(customer_id: str) -> Generator[None]:
    """Let one customer's slow receivers have a quarter of the threads, so that the others' messages go out."""
    with _counting:
        if _under_way[customer_id] >= max(1, settings().worker_threads // 4):
            raise NotAttempted("the customer's other deliveries are under way", BUSY_SECONDS)
        _under_way[customer_id] += 1
    try:
        yield
    finally:
        with _counting:
            _under_way[customer_id] -= 1
            if not _under_way[customer_id]:
                del _under_way[customer_id]
