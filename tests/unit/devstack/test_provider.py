"""The provider answers as its table says, charges once a key, and remembers everything after a kill."""

import json

import pytest

from devstack.simulators.http_server import Answer, Request
from devstack.simulators.provider import Delays, Provider


@pytest.fixture
def ledger(tmp_path):
    return str(tmp_path / "ledger.sqlite")


@pytest.fixture
def provider(ledger):
    made = Provider(ledger, Delays(slow_seconds=2, timeout_seconds=30))
    yield made
    made.db.close()


def post(provider: Provider, path: str, key: str | None, body: object) -> Answer:
    headers = {"idempotency-key": key} if key else {}
    return provider.handle(Request("POST", path, {}, headers, json.dumps(body).encode()))


def charge(provider: Provider, token="tok_ok", key="k1", order="o1", amount=500) -> Answer:
    body = {"order_id": order, "amount": amount, "currency": "EUR", "payment_method": token}
    return post(provider, "/v1/charges", key, body)


def void(provider: Provider, key="k1", order="o1") -> Answer:
    return post(provider, "/v1/voids", key, {"order_id": order})


def refund(provider: Provider, identity: str, amount=500, key="r1", order="o1") -> Answer:
    return post(provider, "/v1/refunds", key, {"order_id": order, "charge_id": identity, "amount": amount})


def listed(provider: Provider, path="/v1/charges", **query: str) -> list:
    return provider.handle(Request("GET", path, query, {}, b"")).content["items"]


def test_a_charge_is_made_once_a_key(provider):
    first = charge(provider)
    assert (first.status, first.content["status"], first.content["amount"]) == (200, "charged", 500)
    assert charge(provider).content == first.content
    assert len(listed(provider, order_id="o1")) == 1


def test_a_key_cannot_be_used_for_another_body(provider):
    charge(provider)
    assert charge(provider, amount=501).status == 422


@pytest.mark.parametrize(("token", "code"), [("tok_declined", "card_declined"), ("tok_what", "unknown_payment_method")])
def test_a_refused_card_charges_nothing(provider, token, code):
    for _ in range(2):
        answer = charge(provider, token)
        assert (answer.status, answer.content) == (402, {"status": "declined", "code": code})
    assert listed(provider) == []
    assert void(provider).status == 200


def test_a_slow_answer_is_held_back_though_the_charge_is_made(provider):
    assert charge(provider, "tok_slow").after_seconds == 2
    assert charge(provider, "tok_drip", key="k2", order="o2").byte_seconds == 1.5
    assert len(listed(provider)) == 2


def test_a_lost_answer_is_given_to_the_second_call(provider):
    first = charge(provider, "tok_timeout_then_ok")
    assert (first.hang_up, first.after_seconds) == (True, 30)
    second = charge(provider, "tok_timeout_then_ok")
    assert (second.status, second.hang_up, second.after_seconds, second.content) == (200, False, 0, first.content)
    assert len(listed(provider)) == 1


def test_an_error_charges_nothing_and_the_second_call_does(provider):
    assert charge(provider, "tok_error_then_ok").status == 500
    assert listed(provider) == []
    assert charge(provider, "tok_error_then_ok").status == 200


def test_a_void_that_comes_first_keeps_the_key_from_charging(provider):
    for _ in range(2):
        assert void(provider).content == {"status": "voided"}
    for _ in range(2):
        answer = charge(provider)
        assert (answer.status, answer.content) == (409, {"status": "voided"})
    assert [entry["kind"] for entry in listed(provider, "/v1/ledger")] == ["void"]


def test_a_void_is_told_of_the_charge_that_came_first(provider):
    charged = charge(provider).content
    answer = void(provider)
    assert answer.status == 409
    assert answer.content == {"status": "charged", "charge": {**charged, "refunded": 0}}


def test_a_void_for_another_order_is_refused(provider):
    charge(provider)
    assert void(provider, order="o2").status == 422


def test_refunds_never_exceed_the_charge(provider):
    identity = charge(provider).content["id"]
    first = refund(provider, identity, 300)
    assert (first.status, first.content["amount"], first.content["currency"]) == (200, 300, "EUR")
    assert refund(provider, identity, 300).content == first.content
    assert refund(provider, identity, 201, key="r2").status == 409
    assert refund(provider, identity, 200, key="r3").status == 200
    (shown,) = listed(provider)
    assert (shown["refunded"], shown["status"]) == (500, "refunded")


def test_a_refund_of_what_was_never_charged_is_refused(provider):
    assert refund(provider, "ch_unknown").status == 404


@pytest.mark.parametrize("change", [{"amount": 0}, {"amount": -1}, {"amount": True}, {"amount": "5"}, {"order_id": ""}])
def test_a_bad_body_is_refused_by_field(provider, change):
    body = {"order_id": "o1", "amount": 5, "currency": "EUR", "payment_method": "tok_ok"} | change
    answer = post(provider, "/v1/charges", "k1", body)
    assert answer.status == 422
    assert answer.content["detail"].startswith(next(iter(change)))


@pytest.mark.parametrize("body", [[], "text", None])
def test_a_body_that_is_no_object_is_refused(provider, body):
    assert post(provider, "/v1/charges", "k1", body).status == 422


def test_a_key_is_asked_for(provider):
    assert post(provider, "/v1/voids", None, {"order_id": "o1"}).status == 400


def test_the_ledger_outlives_the_process(provider, ledger):
    first = charge(provider).content
    charge(provider, "tok_error_then_ok", key="k2", order="o2")
    again = Provider(ledger, Delays())  # the first was never closed, as after kill -9
    assert charge(again).content == first
    assert charge(again, "tok_error_then_ok", key="k2", order="o2").status == 200
    again.db.close()


def test_unknown_paths_and_methods_are_refused(provider):
    assert provider.handle(Request("GET", "/nothing", {}, {}, b"")).status == 404
    assert provider.handle(Request("DELETE", "/v1/charges", {}, {}, b"")).status == 405


def fault(provider: Provider, path: str, fault: str | None) -> Answer:
    return post(provider, "/faults", None, {"path": path, "fault": fault})


def test_a_fault_lasts_until_it_is_mended(provider):
    assert fault(provider, "/v1/charges", "error").status == 200
    assert [charge(provider).status for _ in range(2)] == [500, 500]
    fault(provider, "/v1/charges", None)
    assert charge(provider).status == 200


@pytest.mark.parametrize(("name", "made"), [("stored_error", 0), ("late_error", 1)])
def test_a_stored_error_is_replayed_whether_or_not_anything_was_charged(provider, name, made):
    fault(provider, "/v1/charges", name)
    first = charge(provider)
    fault(provider, "/v1/charges", None)
    again = charge(provider)
    assert (first.status, first.headers) == (500, {})
    assert (again.status, again.headers) == (500, {"idempotent-replayed": "true"})
    assert len(listed(provider, order_id="o1")) == made


def test_a_lost_answer_leaves_the_charge_made_and_hangs_up(provider):
    fault(provider, "/v1/charges", "lose")
    assert charge(provider).hang_up
    assert len(listed(provider, order_id="o1")) == 1


def test_a_call_that_hangs_does_nothing_and_ends(provider):
    fault(provider, "/v1/refunds", "hang")
    identity = charge(provider).content["id"]
    held = refund(provider, identity)
    assert (held.hang_up, held.after_seconds) == (True, 30)
    assert listed(provider, "/v1/refunds", order_id="o1") == []


@pytest.mark.parametrize(("name", "told"), [("wrong_amount", (501, "EUR")), ("wrong_currency", (500, "XTS"))])
def test_another_amount_or_currency_can_be_charged_than_was_asked_for(provider, name, told):
    fault(provider, "/v1/charges", name)
    (_, shown) = charge(provider), listed(provider, order_id="o1")[0]
    assert (shown["amount"], shown["currency"]) == told


@pytest.mark.parametrize("body", [{"path": "/v1/what", "fault": "error"}, {"path": "/v1/voids", "fault": "what"}, 1])
def test_a_fault_that_is_unknown_is_refused(provider, body):
    assert post(provider, "/faults", None, body).status == 422


def test_a_forgotten_key_charges_and_voids_anew_and_the_ledger_keeps_both(provider):
    first = charge(provider)
    post(provider, "/forget", None, {})
    assert void(provider).content["status"] == "voided"
    post(provider, "/forget", None, {})
    assert charge(provider).content["id"] != first.content["id"]
    assert len(listed(provider, order_id="o1")) == 2
    assert len(listed(provider, "/v1/voids", order_id="o1")) == 1
