"""Each thing that must not be is found in records that were spoilt by hand, and nothing is found in good ones."""

from typing import Any

import pytest

from tests.chaos import oracle
from tests.support import audit
from tests.support.audit import Audit

ORDER, TOPIC = "o1", "order.events.v1"


def row(version: int, event_id: str, **more: Any) -> dict[str, Any]:
    return {
        "topic": TOPIC,
        "aggregate_type": "order",
        "aggregate_id": ORDER,
        "aggregate_version": version,
        "event_id": event_id,
        **more,
    }


ROWS = [row(1, "a"), row(2, "b")]


@pytest.mark.parametrize(
    ("rows", "records", "kinds"),
    [
        (ROWS, [(ORDER, "a", 1), (ORDER, "b", 2)], set()),
        (ROWS, [(ORDER, "a", 1), (ORDER, "known", 2), (ORDER, "b", 2)], set()),
        (ROWS, [(ORDER, "b", None), (ORDER, "a", 1)], set()),
        (ROWS, [(ORDER, "a", 1), (ORDER, "b", 2), (ORDER, "a", 1)], set()),
        (ROWS, [(ORDER, "a", 1)], {"lost"}),
        (ROWS, [(ORDER, "a", 1), (ORDER, "b", 2), (ORDER, "x", 3)], {"ghosts"}),
        (ROWS, [(ORDER, "b", 2), (ORDER, "a", 1)], {"reordered"}),
        ([row(1, "a"), row(3, "b")], [(ORDER, "a", 1), (ORDER, "b", 3)], {"reordered"}),
    ],
)
def test_a_topic_that_differs_from_the_outbox_is_found(rows, records, kinds):
    found = Audit()
    audit._outbox_against_topics(found, "order", lambda _: rows, {TOPIC: records}, {"known"})
    assert {finding.kind for finding in found.found} == kinds


CHARGE = {"kind": "charge", "status": "charged", "amount": 5}
REFUND = {"kind": "refund", "status": "refunded", "amount": 5}


@pytest.mark.parametrize(
    ("status", "reservation", "ledger", "kinds"),
    [
        ("CONFIRMED", "COMMITTED", [CHARGE], set()),
        ("CANCELLED", "RELEASED", [CHARGE, REFUND], set()),
        ("CANCELLED", "RELEASED", [CHARGE], {"ledger_mismatch"}),
        ("CONFIRMED", "COMMITTED", [], {"ledger_mismatch"}),
        ("CONFIRMED", "COMMITTED", [CHARGE, REFUND], {"ledger_mismatch"}),
        ("CONFIRMED", "COMMITTED", [CHARGE, CHARGE], {"double_charged", "ledger_mismatch"}),
        ("CANCELLED", "RESERVED", [], {"oversold"}),
        ("CONFIRMED", "RELEASED", [CHARGE], {"oversold"}),
        ("CANCELLING", "RELEASED", [], {"stuck"}),
    ],
)
def test_an_order_that_differs_from_the_ledger_or_the_stock_is_found(status, reservation, ledger, kinds):
    found = Audit()
    entries = [{"order_id": ORDER, **entry} for entry in ledger]
    audit._orders(found, {ORDER: {"status": status, "total": 1999}}, {}, {ORDER: {"status": reservation}}, entries)
    assert {finding.kind for finding in found.found} == kinds


@pytest.mark.parametrize(
    ("settled_by", "ledger", "kinds"),
    [
        ("written_off", [CHARGE], set()),
        ("paid_elsewhere", [CHARGE, {**REFUND, "amount": 3}], set()),
        (None, [CHARGE, {**REFUND, "amount": 3}], {"ledger_mismatch"}),
        (None, [CHARGE, {**REFUND, "amount": 3}, {**REFUND, "amount": 2}], set()),
        ("paid_elsewhere", [CHARGE, REFUND], {"ledger_mismatch"}),
        ("written_off", [], {"ledger_mismatch"}),
    ],
)
def test_a_settled_refund_counts_as_refunded_and_only_what_was_owed_is_settled(settled_by, ledger, kinds):
    found = Audit()
    payments = {ORDER: {"status": "REFUNDED", "settled_by": settled_by}}
    entries = [{"order_id": ORDER, **entry} for entry in ledger]
    audit._orders(found, {ORDER: {"status": "CANCELLED"}}, payments, {ORDER: {"status": "RELEASED"}}, entries)
    assert {finding.kind for finding in found.found} == kinds


@pytest.mark.parametrize(("reserved", "on_hand", "kinds"), [(2, 2, set()), (1, 2, {"oversold"}), (2, 1, {"oversold"})])
def test_stock_that_is_not_what_is_held_is_found(reserved, on_hand, kinds):
    found = Audit()
    held = {ORDER: {"status": "RESERVED", "lines": [{"sku": "LAMP", "quantity": 2}]}}
    audit._stock(found, held, [{"sku": "LAMP", "reserved": reserved, "on_hand": on_hand}])
    assert {finding.kind for finding in found.found} == kinds


PLACED = {"event_type": "waybill.order.OrderPlaced", "causation_id": None}
RESERVED = row(1, "r", event_type="waybill.inventory.StockReserved", causation_id="a", topic=None)


@pytest.mark.parametrize(
    ("effects", "inbox", "kinds"),
    [
        ([RESERVED], {"a"}, set()),
        ([RESERVED, RESERVED], {"a"}, {"double_effects"}),
        ([RESERVED], set(), {"double_effects"}),
        ([], set(), {"lost"}),
    ],
)
def test_an_effect_that_is_missing_or_there_twice_is_found(effects, inbox, kinds):
    found = Audit()
    outboxes = {"order": [row(1, "a", **PLACED)], "inventory": effects}
    oracle._effects(found, outboxes, {"order": set(), "inventory": inbox})
    assert {finding.kind for finding in found.found} == kinds


def test_a_second_mail_is_found_and_a_copy_of_the_first_is_none():
    headers = {"X-Order-ID": ORDER, "X-Notification-Kind": "ORDER_CONFIRMED"}
    copies, second = Audit(), Audit()
    oracle._mail(copies, [{"headers": {**headers, "Message-ID": "1"}}] * 2)
    oracle._mail(second, [{"headers": {**headers, "Message-ID": number}} for number in "12"])
    assert copies.found == []
    assert [finding.kind for finding in second.found] == ["double_mail"]
