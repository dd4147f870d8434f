"""No server, resolver or network can draw a call out past its deadline."""

import socket
import threading
import time
from contextlib import contextmanager
from uuid import uuid4

import httpx2 as httpx
import pytest
from pydantic import SecretStr

from notification_service import mailer
from notification_service.domain import Kind
from notification_service.settings import NotificationSettings
from payment_service.domain import Payment
from payment_service.provider.simulator import Simulator
from payment_service.provider.stripe import Stripe
from payment_service.settings import PaymentSettings
from schemas.events import NotificationRequested
from tests.support.dripping import dripping
from waybill.deciders.outcomes import Unavailable
from waybill.rest import keys
from waybill.runtime import outside
from waybill.runtime.http_client import HttpClient

DEADLINE_SECONDS = 0.5
BOUND_SECONDS = 5.0  # a busy machine; what drips would go on until the test's time-out
PAYMENT = Payment(order_id=uuid4(), amount=5, currency="EUR", payment_method="tok_ok", charge_id="ch_1")


@contextmanager
def ends_in_time():
    began = time.monotonic()
    yield
    assert DEADLINE_SECONDS * 0.9 <= time.monotonic() - began < BOUND_SECONDS


def settings(url):
    common = {"provider_timeout_seconds": DEADLINE_SECONDS, "provider_url": url, "stripe_url": url}
    return PaymentSettings(**common, stripe_api_key=SecretStr("sk_test_x"))


@pytest.mark.parametrize("adapter", [Simulator, Stripe])
@pytest.mark.parametrize(("scheme", "talk"), [("http", "headers"), ("http", "body"), ("https", "handshake")])
def test_a_provider_that_drips_is_given_up_at_the_deadline(adapter, scheme, talk):
    with dripping(talk) as port:
        provider = adapter(settings(f"{scheme}://127.0.0.1:{port}"))
        with ends_in_time(), pytest.raises(Unavailable):
            provider.refund(PAYMENT)
        provider.close()


@pytest.mark.parametrize(("scheme", "talk"), [("http", "headers"), ("http", "body"), ("https", "handshake")])
def test_an_issuer_that_drips_its_keys_is_given_up_at_the_deadline(monkeypatch, scheme, talk):
    monkeypatch.setattr(keys, "FETCH_SECONDS", DEADLINE_SECONDS)
    with dripping(talk) as port:
        issuer = keys.KeyUrl(
            f"{scheme}://127.0.0.1:{port}/keys", refresh_seconds=60, max_age_seconds=60, development=False
        )
        with ends_in_time():
            issuer.fetch()
        with pytest.raises(keys.KeysAway):
            issuer.current()
        issuer._http.close()


def test_a_mail_server_that_drips_is_given_up_at_the_deadline(monkeypatch):
    asked = NotificationRequested(
        order_id=uuid4(), customer_id="ann", kind=Kind.ORDER_CONFIRMED, channel="email", reason=None
    )
    with dripping("greeting") as port:
        told = NotificationSettings(smtp_host="127.0.0.1", smtp_port=port, smtp_timeout_seconds=DEADLINE_SECONDS)
        monkeypatch.setattr(mailer, "read", lambda _: told)
        with ends_in_time(), pytest.raises(Unavailable):
            mailer.send("ann@example.com", asked)


@pytest.fixture
def full():
    """A port whose queue of callers is full: another one's connection is neither made nor refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        address = listening.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(address)
        yield address[1]
        for one in waiting:
            one.close()


@pytest.fixture
def three_addresses(monkeypatch):
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **named: resolve(*given, **named)[:1] * 3)


def test_all_addresses_of_a_host_share_one_deadline(full, three_addresses):
    with HttpClient(DEADLINE_SECONDS) as client, ends_in_time(), pytest.raises(httpx.TransportError):
        client.get(f"http://127.0.0.1:{full}/")
    with ends_in_time(), outside.within(DEADLINE_SECONDS), pytest.raises(TimeoutError):
        outside.connect("127.0.0.1", full)


@pytest.fixture
def silent_resolver(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(20))
    yield
    over.set()


def test_a_resolver_that_does_not_answer_is_given_up_at_the_deadline(silent_resolver):
    with HttpClient(DEADLINE_SECONDS) as client, ends_in_time(), pytest.raises(httpx.ConnectTimeout):
        client.get("http://provider.example/")
    with ends_in_time(), outside.within(DEADLINE_SECONDS), pytest.raises(TimeoutError):
        outside.connect("mail.example", 25)


def test_the_shorter_of_two_deadlines_holds():
    with (
        dripping("body") as port,
        HttpClient(60) as client,
        ends_in_time(),
        outside.within(DEADLINE_SECONDS),
        pytest.raises(httpx.ReadTimeout),
    ):
        client.get(f"http://127.0.0.1:{port}/")
    with outside.within(60), outside.within(1):
        assert 0 < outside.left() <= 1
    assert outside.left() is None


def test_a_name_that_nobody_knows_is_a_failure_to_connect():
    with HttpClient(5) as client, pytest.raises(httpx.ConnectError, match=r"nobody\.invalid"):
        client.get("http://nobody.invalid/")
