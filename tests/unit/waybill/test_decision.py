"""What follows from a command is one pure function; the unit of work, the fold check and the model stand on it."""

import ast
from datetime import UTC, datetime
from uuid import UUID

import pytest

from devstack.folder import CHECKOUT
from order_service.domain import CancelOrder, ImportOrder, MarkCharged, MarkReserved, PlaceOrder
from order_service.service import service as orders
from schemas.events import OrderImported, OrderLine
from waybill.deciders import decision
from waybill.deciders.outcomes import Ignored, Refused

ORDER_ID = UUID(int=1)
ROW_ID = ("order", str(ORDER_ID))
PLACE = PlaceOrder(
    order_id=ORDER_ID,
    customer_id="ann",
    lines=(OrderLine(sku="LAMP", quantity=2, unit_price=5),),
    currency="EUR",
    payment_method="tok",
)


IMPORTED = OrderImported(
    order_id=ORDER_ID,
    customer_id="ann",
    status="CONFIRMED",
    lines=PLACE.lines,
    total=10,
    currency="EUR",
    placed_at="2025-03-01T10:00:00.000000Z",
    provenance="snapshot",
    source_version=1,
)


def after(*commands):
    rows = {}
    for command in commands:
        rows |= decision.decide(orders, command, rows).rows
    return rows


def columns(row):
    return {field.name: getattr(row, field.name) for field in row._meta.concrete_fields}


def test_the_events_of_one_decision_take_the_versions_after_the_row():
    rows = after(PLACE, MarkReserved(order_id=ORDER_ID))
    decided = decision.decide(orders, MarkCharged(order_id=ORDER_ID, charge_id="ch_1"), rows)
    assert [type(event).__name__ for event in decided.outcome] == ["OrderCharged", "OrderConfirmed"]
    assert list(decided.versions) == [3, 4]
    assert decided.rows[ROW_ID].version == 4
    assert decided.rows[ROW_ID].status == "CONFIRMED"


@pytest.mark.parametrize("command", [CancelOrder(order_id=ORDER_ID), MarkCharged(order_id=ORDER_ID, charge_id="ch_1")])
def test_a_decision_changes_no_row_that_it_is_given(command):
    rows = after(PLACE, MarkReserved(order_id=ORDER_ID))
    before = columns(rows[ROW_ID])
    decided = decision.decide(orders, command, rows)
    for version, event in zip(decided.versions, decided.outcome, strict=True):
        decision.fold(orders, event, version, rows)
    assert columns(rows[ROW_ID]) == before
    assert decided.rows[ROW_ID] is not rows[ROW_ID]


@pytest.mark.parametrize(
    ("command", "outcome"), [(MarkReserved(order_id=ORDER_ID), Ignored), (PLACE, Refused)], ids=["ignored", "refused"]
)
def test_what_is_ignored_or_refused_moves_no_row(command, outcome):
    decided = decision.decide(orders, command, after(PLACE, MarkReserved(order_id=ORDER_ID)))
    assert isinstance(decided.outcome, outcome)
    assert (decided.rows, decided.versions) == ({}, ())


def test_the_fold_of_the_events_is_the_rows_of_the_decisions():
    rows, folded = {}, {}
    for command in (PLACE, MarkReserved(order_id=ORDER_ID), MarkCharged(order_id=ORDER_ID, charge_id="ch_1")):
        decided = decision.decide(orders, command, rows)
        rows |= decided.rows
        for event, version in zip(decided.outcome, decided.versions, strict=True):
            folded |= decision.fold(orders, event, version, folded)
    assert columns(folded[ROW_ID]) == columns(rows[ROW_ID])


def test_nothing_else_evolves_a_state_that_rows_hold():
    found = {
        str(path.relative_to(CHECKOUT))
        for folder in ("waybill", "outbox_relay", "tests/model")
        for path in sorted((CHECKOUT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "evolve"
    }
    # The scenario of a decider's tests, and what derives a saga's table, have states alone, and no row.
    assert found == {"waybill/deciders/decision.py", "waybill/testing/scenario.py", "waybill/sagas/deriving.py"}


def test_what_ended_elsewhere_has_ended_is_not_measured_and_says_when_it_began():
    row = after(ImportOrder(order_id=ORDER_ID, stands=IMPORTED))[ROW_ID]
    assert (row.has_ended, row.is_measured) == (True, False)
    assert row.created_at == datetime(2025, 3, 1, 10, tzinfo=UTC)
    confirmed = after(PLACE, MarkReserved(order_id=ORDER_ID), MarkCharged(order_id=ORDER_ID, charge_id="ch_1"))[ROW_ID]
    assert (confirmed.has_ended, confirmed.is_measured, confirmed.created_at) == (True, True, None)
