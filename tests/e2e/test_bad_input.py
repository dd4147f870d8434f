"""Bad input gets a 4xx problem+json that names the field, and nothing is written."""

import json
import re
import uuid

import psycopg
import pytest

from devstack.harness.stack import sent
from devstack.services import SERVICES
from tests.support.shop import key


@pytest.fixture(scope="session")
def sku(shop):
    return shop.product(10)


@pytest.fixture
def nothing_written(shop):
    def count():
        with psycopg.connect(shop.stack.state["databases"]["order"]) as session:
            return session.execute(
                "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM waybill_idempotency_key)"
            ).fetchone()

    before = count()
    yield
    assert count() == before


def problem(response, status, code, field=None):
    body = sent(response, status)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert body["code"] == code
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert "Traceback" not in response.text
    if field is not None:
        assert field in [error["field"] for error in body["errors"]], body
        assert field in body["detail"], body


def body(sku, **changes):
    return {"lines": [{"sku": sku, "quantity": 1}], "payment_method": "tok_ok", **changes}


def post(shop, payload, **headers):
    return shop.customer.post("/v1/orders", json=payload, headers={**key(), **headers})


def test_malformed_json(shop, nothing_written):
    headers = {**key(), "Content-Type": "application/json"}
    problem(shop.customer.post("/v1/orders", content=b'{"lines": [', headers=headers), 400, "malformed_json")


@pytest.mark.parametrize("quantity", [0, -1, 10**12, 2**70, 1.5, "2", None, True])
def test_a_quantity_that_cannot_be(shop, sku, nothing_written, quantity):
    payload = body(sku, lines=[{"sku": sku, "quantity": quantity}])
    problem(post(shop, payload), 422, "not_valid", "lines[0].quantity")


@pytest.mark.parametrize("unknown", ["NO-SUCH", "a b", "", "x" * 65, "'; DROP TABLE orders; --", "\u0000", 7])
def test_a_sku_that_does_not_exist(shop, nothing_written, unknown):
    response = post(shop, body(unknown))
    code = "unknown_sku" if unknown == "NO-SUCH" else "not_valid"
    problem(response, 422, code, "lines[0].sku")


@pytest.mark.parametrize(("count", "field"), [(1_000, "lines"), (10_000, "body")])
def test_too_many_lines(shop, sku, nothing_written, count, field):
    payload = body(sku, lines=[{"sku": sku, "quantity": 1}] * count)
    problem(post(shop, payload), 422, "not_valid", field)


def test_no_lines(shop, nothing_written):
    problem(post(shop, body("X", lines=[])), 422, "not_valid", "lines")


def test_the_same_product_twice(shop, sku, nothing_written):
    payload = body(sku, lines=[{"sku": sku, "quantity": 1}] * 2)
    problem(post(shop, payload), 422, "not_valid", "lines[1].sku")


def test_a_body_larger_than_is_taken(shop, nothing_written):
    response = post(shop, body("X", payment_method="x" * 2_000_000))
    problem(response, 413, "body_too_large")


def test_a_wrong_currency(shop, sku, nothing_written):
    problem(post(shop, body(sku, currency="USD")), 422, "currency_mismatch", "currency")


def test_two_currencies_in_one_order(shop, sku, nothing_written):
    dollars = shop.product(1, currency="USD")
    payload = body(sku, lines=[{"sku": sku, "quantity": 1}, {"sku": dollars, "quantity": 1}])
    problem(post(shop, payload), 422, "mixed_currencies", "lines[1].sku")


def test_a_field_that_is_not_known(shop, sku, nothing_written):
    problem(post(shop, body(sku, unit_price=1)), 422, "not_valid", "unit_price")


@pytest.mark.parametrize(
    "method", ["", "a\u0000b", "a\nb", "x" * 256, 5, None, "4242424242424242", "4242-4242-4242-4242"]
)
def test_a_payment_method_that_cannot_be(shop, sku, nothing_written, method):
    problem(post(shop, body(sku, payment_method=method)), 422, "not_valid", "payment_method")


@pytest.mark.parametrize("given", ["42", "not-a-uuid", "01a1fdd7-926e-74b1-a257"])
def test_an_id_that_is_no_uuid(shop, given):
    problem(shop.customer.get(f"/v1/orders/{given}"), 422, "not_valid", "order_id")


def test_an_order_that_does_not_exist(shop):
    problem(shop.customer.get(f"/v1/orders/{uuid.uuid4()}"), 404, "not_found")


def test_another_customers_order_is_not_found(shop, sku):
    order = shop.order(sku)
    other = shop.stack.token("somebody-else")
    with shop.stack.client("order", other) as client:
        problem(client.get(f"/v1/orders/{order['id']}"), 404, "not_found")
        problem(client.post(f"/v1/orders/{order['id']}/cancel", headers=key()), 404, "not_found")
        assert order["id"] not in [item["id"] for item in sent(client.get("/v1/orders"), 200)["items"]]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x.y.z", "Basic YTpi", "Bearer eyJhbGciOiJub25lIn0.e30."])
def test_a_token_that_proves_nothing(shop, header):
    response = shop.customer.get("/v1/orders", headers={"Authorization": header})
    problem(response, 401, "unauthenticated")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_customer_cannot_change_the_stock(shop, sku):
    with shop.stack.client("inventory") as customer:
        problem(customer.delete(f"/v1/products/{sku}"), 403, "forbidden")


def operations(described):
    """Every operation of an API's document: method, path with ids that nobody has, and its scope."""
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            (scope,) = operation["security"][0]["bearer"] or [None]
            yield method.upper(), re.sub(r"\{[^}]*\}", str(uuid.uuid4()), path), scope


@pytest.mark.parametrize("service", SERVICES)
def test_no_operation_is_done_without_a_token_or_without_the_scope_that_it_names(shop, service):
    """Whatever else is wrong with the request, and whether or not there is what it asks for."""
    with shop.stack.client(service, shop.stack.token("nobody", scope="")) as client:
        found = list(operations(client.get("/v1/openapi.json").json()))
        assert found
        for method, path, scope in found:
            where = f"{method} {path}"
            answer = client.request(method, path, headers={**key(), "Authorization": ""})
            assert (where, answer.status_code) == (where, 401)
            if scope is not None:
                answer = client.request(method, path, headers=key())
                assert (where, answer.status_code) == (where, 403), answer.text


def test_a_missing_idempotency_key(shop, sku, nothing_written):
    problem(shop.customer.post("/v1/orders", json=body(sku)), 400, "idempotency_key_missing")


def test_the_same_key_again_answers_the_same_and_writes_once(shop, sku):
    headers = key()
    first = shop.customer.post("/v1/orders", json=body(sku), headers=headers)
    again = shop.customer.post("/v1/orders", json=body(sku), headers=headers)
    assert sent(first, 202) == sent(again, 202)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = shop.customer.post("/v1/orders", json=body(sku, currency="EUR"), headers=headers)
    problem(other, 422, "idempotency_key_reused")


@pytest.mark.parametrize("given", ["", "k" * 256])
def test_an_idempotency_key_that_cannot_be(shop, sku, nothing_written, given):
    headers = {"Idempotency-Key": given}
    problem(shop.customer.post("/v1/orders", json=body(sku), headers=headers), 400, "idempotency_key_missing")


def test_a_refused_request_does_not_burn_its_key(shop, sku):
    headers = key()
    sent(shop.customer.post("/v1/orders", json=body("NO-SUCH"), headers=headers), 422)
    sent(shop.customer.post("/v1/orders", json=body(sku), headers=headers), 202)


@pytest.mark.parametrize("path", ["/v1/order", "/nothing", "/v1/orders/x/y/z"])
def test_a_path_that_does_not_exist(shop, path):
    problem(shop.customer.get(path), 404, "not_found")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "cursor=%%%", "cursor=YQ==", "cursor=AA==", "status=LOST"]
)
def test_a_list_that_cannot_be(shop, query):
    field = query.partition("=")[0].replace("status", "status[0]")
    problem(shop.customer.get(f"/v1/orders?{query}"), 422, "not_valid", field)


@pytest.mark.parametrize("cursor", ["AA==", "%FF", "YQ"])
def test_a_cursor_that_nobody_gave(shop, cursor):
    problem(shop.staff.get(f"/v1/products?cursor={cursor}"), 422, "not_valid", "cursor")


def test_a_list_goes_on_where_it_stopped(shop, sku):
    placed = {shop.order(sku)["id"] for _ in range(5)}
    found, path = [], "/v1/orders?limit=2"
    while path and not placed <= set(found):
        page = sent(shop.customer.get(path), 200)
        found += [item["id"] for item in page["items"]]
        path = page["next"]
    assert placed <= set(found)
    assert len(found) == len(set(found))
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"unit_price": -1}, "unit_price"),
        ({"unit_price": 10**13}, "unit_price"),
        ({"currency": "EURO"}, "currency"),
        ({"name": ""}, "name"),
        ({"name": "a\u0000b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"sku": "a b"}, "sku"),
        ({"sku": "."}, "sku"),
        ({"sku": ".."}, "sku"),
    ],
)
def test_a_product_that_cannot_be(shop, change, field):
    listing = {"sku": f"T-{uuid.uuid4().hex[:8]}", "name": "A", "unit_price": 1, "currency": "EUR", **change}
    answer = shop.staff.post("/v1/products", content=json.dumps(listing), headers=key())
    problem(answer, 422, "not_valid", field)


def test_a_stock_below_what_is_held_or_nothing_is_refused(shop, sku):
    for stock, status, code in (
        ({"kind": "corrected", "quantity": -(10**6), "reason": "count"}, 409, "stock_too_low"),
        ({"kind": "received", "quantity": -5, "reason": "delivery"}, 422, "not_valid"),
        ({"kind": "stolen", "quantity": 5, "reason": "night"}, 422, "not_valid"),
        ({"kind": "received", "quantity": 10**12, "reason": "delivery"}, 422, "not_valid"),
    ):
        problem(shop.staff.post(f"/v1/products/{sku}/stock", json=stock, headers=key()), status, code)


def test_a_mail_address_that_is_none(shop):
    with shop.stack.client("notification") as client:
        problem(client.put("/v1/contacts/me", json={"email": "nobody"}), 422, "not_valid", "email")


def test_an_etag_saves_the_answer(shop, sku):
    order = shop.at_rest(shop.order(sku))
    path = f"/v1/orders/{order['id']}"
    tag = shop.customer.get(path).headers["ETag"]
    assert tag == f'"{order["version"]}"'
    assert shop.customer.get(path, headers={"If-None-Match": tag}).status_code == 304


def test_the_api_describes_itself(shop):
    for service in SERVICES:
        with shop.stack.client(service) as client:
            described = json.loads(client.get("/v1/openapi.json").text)
            assert described["openapi"].startswith("3.1")
            assert client.get("/v1/docs").status_code == 200
