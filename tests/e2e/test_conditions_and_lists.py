"""What clients rely on beside placing an order: conditional changes, lists in both directions, retryable errors."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from devstack.harness.stack import sent
from tests.support.shop import key


@pytest.fixture(scope="module")
def sku(shop):
    return shop.product(100)


@pytest.fixture
def somebody(shop):
    """A customer without orders."""
    with shop.stack.client("order", shop.stack.token(f"c-{uuid.uuid4().hex[:8]}")) as client:
        yield client


def place(client, sku, **changes):
    body = {"lines": [{"sku": sku, "quantity": 1}], "payment_method": "tok_ok", **changes}
    return sent(client.post("/v1/orders", json=body, headers=key()), 202)


def refused(response, status, code):
    assert sent(response, status)["code"] == code, response.text


def listing(**changes):
    return {"name": "A lamp", "unit_price": 100, "currency": "EUR", **changes}


def test_a_put_that_creates_is_a_201_and_a_change_is_a_200(shop):
    path = f"/v1/products/T-{uuid.uuid4().hex[:8]}"
    created = shop.staff.put(path, json=listing())
    assert (created.status_code, created.headers["Location"]) == (201, path)
    assert shop.staff.put(path, json=listing(unit_price=200)).status_code == 200
    assert shop.staff.put(path, json=listing(unit_price=200)).status_code == 200
    assert shop.staff.delete(path).status_code == 204
    assert shop.staff.put(path, json=listing()).status_code == 201


def test_a_first_address_is_a_201_and_another_one_a_200(shop):
    with shop.stack.client("notification", shop.stack.token(f"c-{uuid.uuid4().hex[:8]}")) as client:
        first = client.put("/v1/contacts/me", json={"email": "ann@example.com"})
        assert first.status_code == 201
        assert client.put("/v1/contacts/me", json={"email": "bob@example.com"}).status_code == 200
        stale = {"If-Match": first.headers["ETag"]}
        refused(
            client.put("/v1/contacts/me", json={"email": "c@example.com"}, headers=stale), 412, "precondition_failed"
        )
        assert sent(client.get("/v1/contacts/me"), 200) == {"email": "bob@example.com"}


def test_a_change_that_is_meant_for_another_state_is_not_made(shop):
    path = f"/v1/products/T-{uuid.uuid4().hex[:8]}"
    refused(shop.staff.put(path, json=listing(), headers={"If-Match": "*"}), 412, "precondition_failed")
    tag = shop.staff.put(path, json=listing(), headers={"If-None-Match": "*"}).headers["ETag"]
    refused(shop.staff.put(path, json=listing(), headers={"If-None-Match": "*"}), 412, "precondition_failed")
    newer = shop.staff.put(path, json=listing(unit_price=5), headers={"If-Match": tag}).headers["ETag"]
    for stale in (
        shop.staff.put(path, json=listing(unit_price=7), headers={"If-Match": tag}),
        shop.staff.delete(path, headers={"If-Match": tag}),
        shop.staff.post(
            f"{path}/stock",
            json={"kind": "received", "quantity": 1, "reason": "delivery"},
            headers={"If-Match": tag, **key()},
        ),
    ):
        refused(stale, 412, "precondition_failed")
    assert sent(shop.staff.get(path), 200)["unit_price"] == 5
    assert shop.staff.delete(path, headers={"If-Match": newer}).status_code == 204


def test_cancelling_is_a_202_until_it_has_ended_and_then_a_200(shop, sku, somebody):
    order = place(somebody, sku, payment_method="tok_slow")
    path = f"/v1/orders/{order['id']}"
    refused(somebody.post(f"{path}/cancel", headers={"If-Match": '"99"', **key()}), 412, "precondition_failed")
    first = somebody.post(f"{path}/cancel", headers={"If-Match": "*", **key()})
    assert (first.status_code, first.headers["Retry-After"]) == (202, "1")
    shop.until(lambda: sent(somebody.get(path), 200)["status"] == "CANCELLED", "the order is cancelled")
    again = somebody.post(f"{path}/cancel", headers=key())
    assert (again.status_code, again.json()["status"]) == (200, "CANCELLED")
    assert "Retry-After" not in again.headers


def test_a_304_has_no_type_and_answers_any_of_several_tags(shop, sku):
    path = f"/v1/orders/{shop.at_rest(shop.order(sku))['id']}"
    tag = shop.customer.get(path).headers["ETag"]
    for given in (tag, "*", f'"0", W/{tag}'):
        answer = shop.customer.get(path, headers={"If-None-Match": given})
        assert (answer.status_code, answer.content) == (304, b"")
        assert "Content-Type" not in answer.headers


def test_a_list_leads_on_and_back_by_its_links(shop, sku, somebody):
    placed = [place(somebody, sku)["id"] for _ in range(5)][::-1]

    def page(url):
        answer = somebody.get(url)
        found = sent(answer, 200)
        assert {rel: link["url"] for rel, link in answer.links.items() if rel in ("next", "prev")} == {
            rel: found[rel] for rel in ("next", "prev") if found[rel]
        }
        return [item["id"] for item in found["items"]], found

    first, one = page("/v1/orders?limit=2")
    second, two = page(one["next"])
    third, three = page(two["next"])
    assert [*first, *second, *third] == placed
    assert (one["prev"], three["next"]) == (None, None)
    back, _ = page(three["prev"])
    start, beginning = page(two["prev"])
    assert (back, start, beginning["prev"]) == (second, first, None)
    assert [item["id"] for item in sent(somebody.get("/v1/orders?sort=created_at&limit=5"), 200)["items"]] == placed[
        ::-1
    ]


def test_orders_are_found_by_time_by_status_and_by_id(shop, sku, somebody):
    ids = [place(somebody, sku)["id"] for _ in range(3)]
    order = sent(somebody.get(f"/v1/orders/{ids[1]}"), 200)

    def found(**query):
        return {item["id"] for item in sent(somebody.get("/v1/orders", params=query), 200)["items"]}

    assert found(id=ids[:2]) == set(ids[:2])
    assert found(id=[ids[0], str(uuid.uuid4())]) == {ids[0]}
    assert found(created_after=order["created_at"]) == set(ids[1:])
    assert found(created_before=order["created_at"]) == {ids[0]}
    assert found(created_after=(datetime.now(UTC) + timedelta(days=1)).isoformat()) == set()
    assert found(created_after="0001-01-01T00:00:00+14:00", created_before="9999-12-31T23:59:59-14:00") == set(ids)
    everything = ["PENDING", "RESERVED", "CHARGED", "CONFIRMED", "CANCELLING", "CANCELLED"]
    assert found(status=everything) == set(ids)
    stranger = shop.order(sku)["id"]
    assert found(id=[stranger]) == set()


@pytest.mark.parametrize(
    "query", ["created_after=yesterday", "created_after=2026-01-01T00:00:00", "sort=total", "created_before=12", "id=1"]
)
def test_a_filter_that_cannot_be_names_the_parameter(shop, query):
    name = query.partition("=")[0]
    body = sent(shop.customer.get(f"/v1/orders?{query}"), 422)
    assert name in [error["field"].partition("[")[0] for error in body["errors"]], body
    assert "Value error" not in str(body)


def test_products_payments_and_notifications_are_read_in_bulk(shop, sku):
    other = shop.product(1)
    products = sent(shop.staff.get("/v1/products", params={"sku": [sku, other]}), 200)["items"]
    assert {product["sku"] for product in products} == {sku, other}
    orders = [shop.at_rest(shop.order(sku))["id"] for _ in range(2)]
    for service, what in (("payment", "payments"), ("notification", "notifications")):
        with shop.stack.client(service) as client:
            shop.until(
                lambda: (
                    {
                        item["order_id"]
                        for item in sent(client.get(f"/v1/{what}", params={"order_id": orders}), 200)["items"]  # noqa: B023
                    }
                    == set(orders)
                ),
                what,
            )


def test_a_product_that_is_not_known_yet_is_an_error_to_try_again_and_a_delisted_one_is_not(shop):
    body = {"lines": [{"sku": f"T-{uuid.uuid4().hex[:8]}", "quantity": 1}], "payment_method": "tok_ok"}
    answer = shop.customer.post("/v1/orders", json=body, headers=key())
    assert sent(answer, 422)["code"] == "unknown_sku"
    assert answer.json()["retryable"] is True
    assert int(answer.headers["Retry-After"]) > 0
    sku = shop.product(1)
    assert shop.staff.delete(f"/v1/products/{sku}").status_code == 204
    shop.until_priced(sku, None)
    body["lines"][0]["sku"] = sku
    gone = shop.customer.post("/v1/orders", json=body, headers=key())
    assert (sent(gone, 422)["code"], gone.json()["retryable"]) == ("not_for_sale", False)


def test_stock_beyond_what_is_kept_is_a_conflict(shop, sku):
    stock = {"kind": "received", "quantity": 10**9, "reason": "delivery"}
    refused(shop.staff.post(f"/v1/products/{sku}/stock", json=stock, headers=key()), 409, "stock_too_large")
