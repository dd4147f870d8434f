"""Webhooks through REST: from the registration to a message that the standard's own library verifies."""

from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest
from standardwebhooks import Webhook

from devstack.harness.stack import sent
from devstack.harness.wait import wait_until
from tests.support.receivers import receiving
from tests.support.shop import key


@pytest.fixture
def hooks(stack) -> Iterator[httpx.Client]:
    """The customer's client, with no webhook left behind."""
    with stack.client("notification") as client:
        yield client
        for webhook in sent(client.get("/v1/webhooks"), 200)["items"]:
            assert client.delete(f"/v1/webhooks/{webhook['id']}").status_code == 204


def register(client: httpx.Client, url: str, **more: Any) -> dict[str, Any]:
    return sent(client.post("/v1/webhooks", json={"url": url, **more}, headers=key()), 201)


def test_a_customer_is_told_of_an_order_at_their_webhook(shop, hooks):
    with receiving() as customer:
        webhook = register(hooks, customer.url, types=["order.confirmed"])
        order = shop.order(shop.product(2), 1)
        wait_until(lambda: customer.requests, deadline_seconds=60, what="a message")
        (request,) = customer.requests
        told = Webhook(webhook["secret"]).verify(request.body, request.headers)
        assert told["data"] == {"order_id": order["id"], "status": "CONFIRMED"}

        path = f"/v1/webhooks/{webhook['id']}/deliveries"
        shop.until(lambda: sent(hooks.get(path), 200)["items"][0]["status"] == "DELIVERED", "DELIVERED")
        (delivery,) = sent(hooks.get(path, params={"status": "DELIVERED"}), 200)["items"]
        assert (delivery["message_id"], delivery["order_id"]) == (request.message_id, order["id"])
        assert (delivery["failed_tries"], delivery["code"], delivery["next_try_at"]) == (0, None, None)
        assert sent(hooks.get(path, params={"status": "FAILED"}), 200)["items"] == []

        rotated = sent(hooks.post(f"/v1/webhooks/{webhook['id']}/rotate-secret", headers=key()), 200)
        assert rotated["secret"] != webhook["secret"]
        again = sent(hooks.post(f"{path}/{delivery['id']}/redeliver", headers=key()), 202)
        assert again["status"] == "PENDING"
        wait_until(lambda: len(customer.requests) == 2, deadline_seconds=60, what="the message again")
        _, request = customer.requests
        assert request.message_id == delivery["message_id"]
        for secret in (webhook["secret"], rotated["secret"]):
            assert Webhook(secret).verify(request.body, request.headers) == told


def test_a_secret_is_shown_once_and_to_its_customer_alone(stack, hooks):
    idempotency = key()
    url = "http://127.0.0.1:9/hook"
    answer = hooks.post("/v1/webhooks", json={"url": url}, headers=idempotency)
    webhook = sent(answer, 201)
    assert answer.headers["cache-control"] == "no-store"
    path = f"/v1/webhooks/{webhook['id']}"
    shown = {name: value for name, value in webhook.items() if name != "secret"}
    assert sent(hooks.get(path), 200) == shown
    assert sent(hooks.get("/v1/webhooks"), 200)["items"] == [shown]
    assert shown["types"] == ["order.confirmed", "order.cancelled", "payment.refunded"]
    with stack.client("notification", stack.state["tokens"]["staff"]) as other:
        assert sent(other.get("/v1/webhooks"), 200)["items"] == []
        for answer in (
            other.get(path),
            other.patch(path, json={"enabled": False}),
            other.delete(path),
            other.post(f"{path}/rotate-secret", headers=key()),
            other.get(f"{path}/deliveries"),
            other.post(f"{path}/deliveries/{webhook['id']}/redeliver", headers=key()),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), answer.request.url


def test_a_webhook_is_changed_disabled_and_enabled_again(hooks):
    webhook = register(hooks, "http://127.0.0.1:9/hook")
    path = f"/v1/webhooks/{webhook['id']}"
    changed = sent(hooks.patch(path, json={"url": "http://127.0.0.1:9/new", "types": ["order.cancelled"]}), 200)
    assert (changed["url"], changed["types"]) == ("http://127.0.0.1:9/new", ["order.cancelled"])
    disabled = sent(hooks.patch(path, json={"enabled": False}), 200)
    assert (disabled["status"], disabled["disabled_by"]) == ("DISABLED", "customer")
    enabled = sent(hooks.patch(path, json={"enabled": True}), 200)
    assert (enabled["status"], enabled["disabled_by"], enabled["url"]) == ("ENABLED", None, changed["url"])


def test_a_url_that_cannot_be_called_and_a_webhook_too_many_are_refused(hooks):
    for url in ("ftp://127.0.0.1/", "http://user:secret@127.0.0.1/", "http://no-such-name.invalid/"):
        refused = hooks.post("/v1/webhooks", json={"url": url}, headers=key())
        assert (refused.status_code, refused.json()["code"]) == (422, "url_refused"), url
    for _ in range(10):
        register(hooks, "http://127.0.0.1:9/hook")
    refused = hooks.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/hook"}, headers=key())
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_webhooks")
