"""The ledger of the model answers as the simulated provider does."""

import itertools
import json

import pytest

from devstack.http_server import Request
from devstack.provider import Delays, Provider
from tests.model.outside import CALLS, Ledger

PATHS = {"charge": "/v1/charges", "void": "/v1/voids", "refund": "/v1/refunds"}
KEYS = {"charge": "charge-1", "void": "charge-1", "refund": "refund-1"}
NOTHING_TO_GIVE_BACK = {"exceeds_charge", "unknown_charge"}


def asked(provider: Provider, call: str, token: str) -> str:
    charges = provider.handle(Request("GET", "/v1/charges", {"order_id": "1"}, {}, b"")).content["items"]
    body = {"order_id": "1", "amount": 5, "currency": "EUR", "payment_method": token}
    body["charge_id"] = charges[0]["id"] if charges else "none"
    request = Request("POST", PATHS[call], {}, {"idempotency-key": KEYS[call]}, json.dumps(body).encode())
    return provider.handle(request).content["status"]


@pytest.mark.parametrize(("token", "outcome"), [("tok_ok", "charged"), ("tok_declined", "declined")])
@pytest.mark.parametrize("calls", list(itertools.product(CALLS, repeat=4)), ids="-".join)
def test_the_same_calls_get_the_same_answers(calls, token, outcome):
    provider, ledger = Provider(":memory:", Delays()), Ledger()
    for call in calls:
        answers = dict(CALLS[call](ledger))
        answer = outcome if outcome in answers else next(iter(answers))
        ledger = answers[answer]
        given = asked(provider, call, token)
        if {given, answer} <= NOTHING_TO_GIVE_BACK:
            break  # the refund of another charge would need another key
        assert given == answer
    entries = provider.handle(Request("GET", "/v1/ledger", {}, {}, b"")).content["items"]
    kinds = [entry["kind"] for entry in entries]
    assert (kinds.count("charge"), kinds.count("void"), kinds.count("refund")) == (
        ledger.charges,
        ledger.voided,
        ledger.refunds,
    )
    provider.db.close()
