"""A message to a customer's receiver: signed, sent to no place inside our network, and given up in time."""

import contextlib
import json
import re
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from devstack.folder import CHECKOUT
from notification_service import receiver
from notification_service.domain import Delivery, DeliveryStatus, Kind
from notification_service.receiver import Failed, UrlRefused
from notification_service.settings import NotificationSettings
from tests.support.dripping import dripping
from tests.support.receivers import receiving
from waybill.deciders.outcomes import NotAttempted

DELIVERY = Delivery(
    delivery_id=UUID(int=7),
    customer_id="ann",
    webhook_id=UUID(int=2),
    order_id=UUID(int=1),
    kind=Kind.ORDER_CONFIRMED,
    status=DeliveryStatus.PENDING,
)
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LOCAL = {"environment": "development", "webhook_allow_http": True, "webhook_allow_private": True}
PUBLIC_ONLY = {"environment": "development", "webhook_allow_http": True}
SECRET = receiver.new_secret()
PAGE = CHECKOUT / "docs" / "webhooks.md"


@pytest.fixture
def told(monkeypatch):
    """Set what the service is told."""

    def tell(**given):
        monkeypatch.setattr(receiver, "read", lambda _: NotificationSettings(**given))

    tell(**LOCAL)
    return tell


def deliver(url, *secrets):
    return receiver.deliver(url, secrets or (SECRET,), DELIVERY, AT)


def resolved_to(monkeypatch, *addresses):
    """Let the name `hooks.example` mean these addresses, one after the other."""
    answers, real = list(addresses), socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        if host != "hooks.example":
            return real(host, port, *args, **kwargs)
        return real(answers.pop(0) if len(answers) > 1 else answers[0], port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_message_says_what_happened_and_nothing_else(told):
    with receiving() as customer:
        assert deliver(customer.url) is None
    (request,) = customer.requests
    assert request.path == "/hook"
    assert request.message_id == "msg_00000000000000000000000000000007"
    assert json.loads(request.body) == {
        "type": "order.confirmed",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "data": {"order_id": str(UUID(int=1)), "status": "CONFIRMED"},
    }


def test_every_kind_of_news_has_a_type_and_a_status():
    assert set(receiver.TYPES) == set(receiver.STATUSES) == set(Kind)


def test_the_authors_of_the_standard_verify_our_signature_with_either_valid_secret(told):
    former, stranger = receiver.new_secret(), receiver.new_secret()
    with receiving() as customer:
        assert deliver(customer.url, SECRET, former) is None
    (request,) = customer.requests
    for secret in (SECRET, former):
        Webhook(secret).verify(request.body, request.headers)
    for wrong in (Webhook(stranger).verify, lambda body, headers: Webhook(SECRET).verify(body + b" ", headers)):
        with pytest.raises(WebhookVerificationError):
            wrong(request.body, request.headers)


@given(
    st.text(st.characters(codec="utf-8"), max_size=200),
    st.text(alphabet="abcdef0123456789_", min_size=1),
    st.integers(0, 2**37),
)
def test_our_signature_is_that_of_the_standard(body, message_id, at):
    theirs = Webhook(SECRET).sign(message_id, datetime.fromtimestamp(at, UTC), body)
    assert receiver.sign(SECRET, message_id, at, body.encode()) == theirs


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_means_that_the_receiver_has_it(told, status):
    with receiving(status) as customer:
        assert deliver(customer.url) is None


@pytest.mark.parametrize("status", [302, 307, 400, 404, 410, 429, 500, 503])
def test_any_other_answer_is_a_failure_with_its_status(told, status):
    with receiving(status) as customer:
        assert deliver(customer.url) == Failed(f"http_{status}")


def test_a_receiver_that_asks_for_a_pause_is_given_it(told):
    with receiving() as customer:
        for status, asked, seconds in [
            (429, "120", 120),
            (503, "7", 7),
            (503, "soon", 0),
            (429, "9" * 99, 0),
            (500, "7", 0),
        ]:
            customer.answers = [(status, {"Retry-After": asked})]
            assert deliver(customer.url) == Failed(f"http_{status}", seconds)


def test_the_pages_own_example_verifies_a_message_and_refuses_any_other(told):
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    page: dict[str, Any] = {}
    exec(compile(example, str(PAGE), "exec"), page)
    verified = page["verified"]
    former = receiver.new_secret()
    with receiving() as customer:
        assert deliver(customer.url, SECRET, former) is None
    (_, headers, body) = customer.requests[0]
    assert verified(SECRET, headers, body)
    assert verified(former, headers, body)
    assert not verified(receiver.new_secret(), headers, body)
    assert not verified(SECRET, headers, body + b" ")
    assert not verified(SECRET, {**headers, "webhook-id": "msg_other"}, body)
    assert not verified(SECRET, {**headers, "webhook-timestamp": str(int(time.time()) - 600)}, body)


def test_a_redirect_is_not_followed(told):
    with receiving() as inside, receiving() as customer:
        customer.answers = [(307, {"Location": inside.url})]
        assert deliver(customer.url) == Failed("http_307")
    assert inside.requests == []


def test_the_body_of_an_answer_is_not_read(told):
    with receiving() as customer:
        customer.body = b"x" * 50_000_000
        began = time.monotonic()
        assert deliver(customer.url) is None
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("talk", ["headers", "handshake"])
def test_a_slow_receiver_is_given_up_at_the_deadline(told, talk):
    told(**LOCAL, webhook_timeout_seconds=0.5)
    with dripping(talk) as port:
        began = time.monotonic()
        assert deliver(f"{'https' if talk == 'handshake' else 'http'}://127.0.0.1:{port}/") == Failed("timed_out")
    assert time.monotonic() - began < 5


def test_a_receiver_that_is_not_there_or_speaks_no_tls_is_said_to_be(told):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert deliver(f"http://127.0.0.1:{port}/") == Failed("not_connected")
    with receiving() as customer:
        assert deliver(customer.url.replace("http:", "https:")) == Failed("tls_failed")


def test_no_message_goes_to_an_address_that_is_not_public(told):
    told(**PUBLIC_ONLY)
    with receiving() as customer:
        for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0", "127.1"):
            assert deliver(f"http://{host}:{customer.port}/") == Failed("address_not_public"), host
    assert customer.requests == []


def test_a_name_that_means_another_address_at_delivery_is_checked_again(told, monkeypatch):
    """DNS rebinding: public when it is registered, loopback when it is called."""
    told(**PUBLIC_ONLY)
    with receiving() as customer:
        resolved_to(monkeypatch, "93.184.216.34", "127.0.0.1")
        url = f"http://hooks.example:{customer.port}/"
        receiver.check(url)
        assert deliver(url) == Failed("address_not_public")
    assert customer.requests == []


def test_the_address_that_was_checked_is_the_one_that_is_called(told, monkeypatch):
    """Resolved once a delivery: a second answer, for the connection, is never asked for."""
    asked = []
    monkeypatch.setattr(receiver, "_may_reach", lambda address: asked.append(address) or True)
    receiver._client.cache_clear()
    with receiving() as customer:
        resolved_to(monkeypatch, "127.0.0.1", "192.0.2.1")
        assert deliver(f"http://hooks.example:{customer.port}/") is None
    assert asked == ["127.0.0.1"]
    assert customer.requests[0].headers["host"] == f"hooks.example:{customer.port}"
    receiver._client.cache_clear()


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "//example.com/",
        "not a url",
        "https://",
        "https://user:secret@1.1.1.1/",
        "https://1.1.1.1/#part",
        "https://1.1.1.1/" + "x" * 2_048,
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://224.0.0.1/",
        "https://2130706433/",
        "https://localhost/",
        "https://no-such-name.invalid/",
        "https://1.1.1.1:99999/",
    ],
)
def test_a_url_that_nothing_could_be_delivered_to_is_refused(told, url):
    told()
    with pytest.raises(UrlRefused) as refused:
        receiver.check(url)
    assert "127.0.0.1" not in str(refused.value)


def test_a_public_url_is_taken(told):
    told()
    receiver.check("https://1.1.1.1/hook?of=shop")


@given(st.text(max_size=30))
def test_no_text_in_a_url_is_an_error_of_ours(text):
    for url in (text, f"https://1.1.1.1/{text}", f"https://127.0.0.1:{text}"):
        with contextlib.suppress(UrlRefused):
            receiver.check(url)
            assert url.isascii()
            assert url.isprintable()


def test_one_customers_slow_receivers_leave_the_threads_to_others(told):
    told(**LOCAL, webhook_timeout_seconds=3)
    most = receiver.settings().worker_threads // 4
    with dripping("headers") as port, receiving() as other:
        slow = [threading.Thread(target=deliver, args=(f"http://127.0.0.1:{port}/",)) for _ in range(most)]
        for thread in slow:
            thread.start()
        deadline = time.monotonic() + 2
        while receiver._under_way["ann"] < most and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        with pytest.raises(NotAttempted):
            deliver(other.url)
        theirs = Delivery(**{**{f: getattr(DELIVERY, f) for f in DELIVERY.__slots__}, "customer_id": "bob"})
        assert receiver.deliver(other.url, [SECRET], theirs, AT) is None
        for thread in slow:
            thread.join(10)
    assert receiver._under_way == {}


def test_a_message_is_too_old_for_a_receiver_once_its_signature_is(told):
    """Each try is signed anew, so that a late one is not taken for a replay."""
    with receiving() as customer:
        assert deliver(customer.url) is None
    (request,) = customer.requests
    old = {**request.headers, "webhook-timestamp": str(int((datetime.now(UTC) - timedelta(hours=1)).timestamp()))}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body, old)


@pytest.mark.parametrize("name", ["webhook_allow_http", "webhook_allow_private"])
def test_no_program_starts_in_production_with_what_lets_webhooks_reach_into_the_network(monkeypatch, name):
    monkeypatch.setenv(f"WAYBILL_{name.upper()}", "true")
    with pytest.raises(ValidationError, match=f"WAYBILL_{name.upper()}: only where WAYBILL_ENVIRONMENT is dev"):
        NotificationSettings()
    monkeypatch.setenv("WAYBILL_ENVIRONMENT", "development")
    assert getattr(NotificationSettings(), name)
