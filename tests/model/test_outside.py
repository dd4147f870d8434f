"""The ledger of the model says what the simulated provider's says, whatever is asked in whatever sequence."""

import itertools
import json
from typing import Any

import pytest

from devstack.simulators.http_server import Request
from devstack.simulators.provider import Delays, Provider
from tests.model.outside import CALLS, Ledger, forgotten

POSTS = {
    "charge": ("/v1/charges", "charge-1"),
    "void": ("/v1/voids", "charge-1"),
    "refund": ("/v1/refunds", "refund-1"),
}
NOTHING_TO_GIVE_BACK = {"exceeds_charge", "unknown_charge"}
CARDS = {"tok_ok": "charged", "tok_declined": "declined"}


@pytest.fixture(scope="module")
def provider():
    made = Provider(":memory:", Delays())
    yield made
    made.db.close()


def listed(provider: Provider, path: str, order: str) -> list:
    return provider.handle(Request("GET", path, {"order_id": order}, {}, b"")).content["items"]


def asked(provider: Provider, call: str, order: str, token: str) -> str:
    charges = listed(provider, "/v1/charges", order)
    match call:
        case "find_charge":
            return status(charges[0]) if charges else "voided" if listed(provider, "/v1/voids", order) else "nothing"
        case "find_refund":
            return "refunded" if listed(provider, "/v1/refunds", order) else "nothing"
    path, key = POSTS[call]
    body = {"order_id": order, "amount": 5, "currency": "EUR", "payment_method": token}
    body["charge_id"] = charges[0]["id"] if charges else "none"
    answer = provider.handle(
        Request("POST", path, {}, {"idempotency-key": f"{key}-{order}"}, json.dumps(body).encode())
    )
    return status(answer.content["charge"]) if call == "void" and "charge" in answer.content else status(answer.content)


def status(told: dict[str, Any]) -> str:
    """What the adapter makes of an answer: a charge that was given back counts as voided."""
    return "voided" if told["status"] == "refunded" and "charge_id" not in told else told["status"]


@pytest.mark.parametrize("token", CARDS)
@pytest.mark.parametrize("first", ["charge", "void", "find_charge"])
def test_the_same_calls_get_the_same_answers(provider, token, first):
    for calls in itertools.product((*CALLS, "forget"), repeat=3):
        order, ledger = f"{token}-{first}-{'-'.join(calls)}", Ledger()
        for call in (first, *calls):
            if call == "forget":
                provider.handle(Request("POST", "/forget", {}, {}, b""))
                ledger = forgotten(ledger)
                continue
            answers = dict(CALLS[call](ledger, errors=False))
            answer = CARDS[token] if CARDS[token] in answers else next(iter(answers))
            ledger = answers[answer]
            given = asked(provider, call, order, token)
            if {given, answer} <= NOTHING_TO_GIVE_BACK:
                break  # the refund of another charge would need another key
            assert given == answer, (calls, call)
        assert ledger_of(provider, order) == (ledger.charges, ledger.voids, ledger.refunds), calls


def ledger_of(provider: Provider, order: str) -> tuple[int, bool, int]:
    charges, voids, refunds = (listed(provider, f"/v1/{kind}", order) for kind in ("charges", "voids", "refunds"))
    return len(charges), bool(voids), len(refunds)


@pytest.mark.parametrize("fault", ["stored_error", "late_error"])
@pytest.mark.parametrize("call", ["charge", "refund"])
def test_a_stored_error_is_answered_again_and_the_ledger_says_what_was_done(provider, call, fault):
    order, ledger = f"{call}-{fault}", Ledger()
    if call == "refund":
        asked(provider, "charge", order, "tok_ok")
        ledger = dict(CALLS["charge"](ledger, errors=True))["charged"]
    path, _ = POSTS[call]
    fault_set = {"path": path, "fault": fault}
    provider.handle(Request("POST", "/faults", {}, {}, json.dumps(fault_set).encode()))
    assert asked(provider, call, order, "tok_ok") == "error"
    provider.handle(Request("POST", "/faults", {}, {}, json.dumps({**fault_set, "fault": None}).encode()))
    assert asked(provider, call, order, "tok_ok") == "error"
    lost = [after for answer, after in CALLS[call](ledger, errors=True) if answer == "lost"]
    (ledger,) = [b for b in lost if ledger_of(provider, order) == (b.charges, b.voids, b.refunds)]
    assert [answer for answer, _ in CALLS[call](ledger, errors=True)] == ["error"]
    for follow in ("void", "find_charge", "find_refund"):
        ((answer, ledger),) = CALLS[follow](ledger, errors=True)
        assert asked(provider, follow, order, "tok_ok") == answer
