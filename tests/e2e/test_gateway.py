"""The whole shop at one address: `urls.gateway` of the stack."""

import uuid

from devstack.harness.stack import order_at_rest, sent
from tests.support.gateway.problems import problem


def test_an_order_placed_through_the_gateway_is_confirmed_and_told_of_at_the_same_address(shop):
    product = shop.product(1)
    body = {"lines": [{"sku": product, "quantity": 1}], "payment_method": "tok_ok"}
    with shop.stack.client("gateway") as client:
        placed = client.post("/v1/orders", json=body, headers={"Idempotency-Key": str(uuid.uuid4())})
        order = sent(placed, 202)
        assert order_at_rest(client, order["id"])["status"] == "CONFIRMED"
        with client.stream("GET", f"{placed.headers['location']}/stream") as stream:
            assert "event: OrderConfirmed" in stream.read().decode()
        for path in ("/v1/payments", "/v1/notifications", f"/v1/products/{product}", "/v1/problems/not_found"):
            assert client.get(path).status_code == 200, path
        assert client.get("/login", headers={"Host": "console.localhost"}).status_code == 200


def test_who_has_no_token_comes_no_further_than_the_gateway(shop):
    with shop.stack.client("gateway", "nonsense") as client:
        problem(client.get("/v1/orders"), 401, "unauthenticated")
