"""An order through REST, over real Kafka, to exactly one end."""

from concurrent.futures import ThreadPoolExecutor

from devstack.harness.stack import sent
from devstack.harness.wait import wait_until
from tests.support.audit import until_they_agree
from tests.support.shop import key


def test_an_order_is_confirmed(shop):
    sku = shop.product(5)
    order = shop.order(sku, 2)
    assert (order["status"], order["version"], order["total"], order["currency"]) == ("PENDING", 1, 3998, "EUR")
    assert order["lines"] == [{"sku": sku, "quantity": 2, "unit_price": 1999}]
    assert shop.at_rest(order)["status"] == "CONFIRMED"
    assert shop.types(order) == ["OrderPlaced", "OrderReserved", "OrderCharged", "OrderConfirmed"]
    shop.settled(sku, on_hand=3)
    assert shop.ledger(order) == [("charge", "charged")]
    assert [p["status"] for p in shop.of("payment", "payments", order)] == ["CHARGED"]
    shop.until(lambda: shop.mails(order) == ["Your order is confirmed"], "one mail")
    told = shop.until(
        lambda: [n for n in shop.of("notification", "notifications", order) if n["status"] == "SENT"], "SENT"
    )
    assert [n["kind"] for n in told] == ["ORDER_CONFIRMED"]


def test_a_free_order_is_confirmed_and_the_provider_never_hears_of_it(shop):
    sku = shop.product(2, unit_price=0)
    order = shop.order(sku, 2)
    assert (shop.at_rest(order)["status"], order["total"]) == ("CONFIRMED", 0)
    shop.settled(sku, on_hand=0)
    assert shop.ledger(order) == []
    (payment,) = shop.of("payment", "payments", order)
    assert (payment["status"], payment["amount"], payment["provider"]) == ("CHARGED", 0, None)


def test_an_order_out_of_stock_is_cancelled_and_holds_nothing(shop):
    sku = shop.product(1)
    order = shop.order(sku, 2)
    ended = shop.at_rest(order)
    assert (ended["status"], ended["cancellation_reason"]) == ("CANCELLED", "OUT_OF_STOCK")
    assert shop.stock(sku) == (1, 0)
    assert shop.ledger(order) == []


def test_a_declined_payment_gives_the_stock_back(shop):
    sku = shop.product(3)
    order = shop.order(sku, 2, method="tok_declined")
    ended = shop.at_rest(order)
    assert (ended["status"], ended["cancellation_reason"]) == ("CANCELLED", "PAYMENT_DECLINED")
    assert shop.types(order) == ["OrderPlaced", "OrderReserved", "OrderCancellationStarted", "OrderCancelled"]
    assert shop.stock(sku) == (3, 0)


def test_a_lost_answer_charges_once(shop):
    order = shop.order(shop.product(1), method="tok_timeout_then_ok")
    assert shop.at_rest(order)["status"] == "CONFIRMED"
    assert shop.ledger(order) == [("charge", "charged")]


def test_a_provider_error_is_tried_again(shop):
    order = shop.order(shop.product(1), method="tok_error_then_ok")
    assert shop.at_rest(order)["status"] == "CONFIRMED"
    assert shop.ledger(order) == [("charge", "charged")]


def test_a_cancel_while_the_provider_is_charging_ends_with_the_money_back(shop):
    sku = shop.product(1)
    order = shop.order(sku, method="tok_slow")
    path = f"/v1/orders/{order['id']}"
    wait_until(lambda: sent(shop.customer.get(path), 200)["status"] == "RESERVED", deadline_seconds=30, what="RESERVED")
    cancelling = sent(shop.customer.post(f"{path}/cancel", headers=key()), 202)
    assert cancelling["status"] in {"CANCELLING", "CANCELLED"}
    ended = shop.at_rest(order)
    assert (ended["status"], ended["cancellation_reason"]) == ("CANCELLED", "CUSTOMER_REQUEST")
    shop.settled(sku, on_hand=1)
    entries = shop.ledger(order)
    assert entries.count(("charge", "charged")) == entries.count(("refund", "refunded"))


def test_a_cancel_at_once_charges_nothing_that_stays(shop):
    sku = shop.product(1)
    order = shop.order(sku)
    answer = shop.customer.post(f"/v1/orders/{order['id']}/cancel", headers=key())
    assert answer.status_code in {202, 409}
    ended = shop.at_rest(order)
    assert ended["status"] == ("CANCELLED" if answer.status_code == 202 else "CONFIRMED")


def test_a_confirmed_order_can_no_longer_be_cancelled(shop):
    order = shop.at_rest(shop.order(shop.product(1)))
    problem = sent(shop.customer.post(f"/v1/orders/{order['id']}/cancel", headers=key()), 409)
    assert problem["code"] == "too_late"
    assert "CONFIRMED" in problem["detail"]


def test_the_last_unit_is_sold_once(shop):
    sku = shop.product(1)
    with ThreadPoolExecutor(8) as threads:
        orders = list(threads.map(lambda _: shop.order(sku), range(8)))
    ended = [shop.at_rest(order)["status"] for order in orders]
    assert (ended.count("CONFIRMED"), ended.count("CANCELLED")) == (1, 7)
    shop.settled(sku, on_hand=0)


def test_an_order_keeps_the_price_it_was_placed_at(shop):
    sku = shop.product(2, unit_price=1000)
    order = shop.order(sku)
    listing = {"name": "A lamp", "unit_price": 2000, "currency": "EUR"}
    sent(shop.staff.put(f"/v1/products/{sku}", json=listing), 200)
    shop.until_priced(sku, 2000)
    assert shop.at_rest(order)["total"] == 1000
    assert shop.order(sku)["total"] == 2000


def test_a_delisted_product_is_not_for_sale(shop):
    sku = shop.product(2)
    assert shop.staff.delete(f"/v1/products/{sku}").status_code == 204
    shop.until_priced(sku, None)
    body = {"lines": [{"sku": sku, "quantity": 1}], "payment_method": "tok_ok"}
    assert sent(shop.customer.post("/v1/orders", json=body, headers=key()), 422)["code"] == "not_for_sale"


def test_one_correlation_id_runs_from_the_request_through_every_event(shop):
    import psycopg

    body = {"lines": [{"sku": shop.product(1), "quantity": 1}], "payment_method": "tok_ok"}
    headers = {**key(), "X-Request-ID": "a-request-of-mine"}
    order = sent(shop.customer.post("/v1/orders", json=body, headers=headers), 202)
    shop.at_rest(order)
    for service in ("order", "inventory", "payment"):
        with psycopg.connect(shop.stack.state["databases"][service]) as session:
            found = session.execute(
                "SELECT DISTINCT metadata->>'correlation_id' FROM waybill_outbox WHERE aggregate_id = %s", [order["id"]]
            ).fetchall()
        assert found == [("a-request-of-mine",)], service


def test_the_three_records_agree(shop):
    until_they_agree(shop.stack)
