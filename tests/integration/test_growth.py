"""Copies of a service's rows, with which benchmarks make databases large, are rows that it could have written."""

import json
from datetime import timedelta
from uuid import UUID

import psycopg
from psycopg import sql

from benchmarks.growth import plans
from benchmarks.growth.grown import figures
from benchmarks.growth.page import FRESH, GROWN
from benchmarks.growth.tables import Table, keys_of, refill
from devstack.harness.databases import ServiceDatabase
from order_service.domain import CancelOrder
from order_service.models import OrderRow
from order_service.service import service
from tests.support.orders import cause, place
from waybill.deciders.rebuild import UNWATCHED, Difference, check
from waybill.deciders.unit_of_work import Caused, handle
from waybill.observability.telemetry import new_id

ORIGINALS, COPIES = 4, 3
# As parallel transactions leave them: what lies first on the disk need not have the lower position.
LATER_VERSIONS_FIRST = (
    "CREATE INDEX later_first ON waybill_outbox (aggregate_version DESC)",
    "CLUSTER waybill_outbox USING later_first",
    "DROP INDEX later_first",
)


def placed(count: int) -> str:
    """Place orders whose ids begin with the same digits, and cancel them; returns the digits."""
    while True:
        ids = [UUID(new_id()) for _ in range(count)]
        if len(digits := {str(one)[:8] for one in ids}) == 1:
            handle(service, [place(one) for one in ids])
            handle(service, [Caused(CancelOrder(order_id=one), cause()) for one in ids])
            return digits.pop()


def test_copies_are_the_fold_of_their_events_and_stand_where_the_service_goes_on(order_database: ServiceDatabase):
    digits = placed(ORIGINALS)
    originals = {row.order_id: row.created_at for row in OrderRow.objects.all()}
    with psycopg.connect(order_database.superuser_url, autocommit=True) as session:
        for statement in LATER_VERSIONS_FIRST:
            session.execute(statement)
        before = {name: set(keys_of(session, name)) for name in ("orders", "waybill_outbox")}
        for name in before:
            events = 2 if name == "waybill_outbox" else 1
            copied = refill(session, Table(name, sql.SQL("true").format(), COPIES), digits)
            assert copied == ORIGINALS * COPIES * events
        assert {name: set(keys_of(session, name)) for name in before} == before
        positions = [row[0] for row in session.execute("SELECT position FROM waybill_outbox ORDER BY 1")]
        metadata = session.execute("SELECT DISTINCT metadata->>'correlation_id' FROM waybill_outbox").fetchall()
    placed(1)

    found: list[Difference] = []
    assert check(service, UNWATCHED, found.append) == (ORIGINALS * (COPIES + 1) + 1) * 2
    assert found == []
    assert positions == list(range(1, ORIGINALS * (COPIES + 1) * 2 + 1))
    assert len(metadata) == ORIGINALS * (COPIES + 1) * 2
    for order_id, created_at in originals.items():
        older = UUID(f"{int(digits, 16) - COPIES:08x}{str(order_id)[8:]}")
        assert OrderRow.objects.get(order_id=older).created_at == created_at - COPIES * timedelta(seconds=65.536)


def test_a_statement_whose_plan_changes_with_the_table_is_named_whatever_its_values_are():
    written = (
        "@@order@LOG:  statement: SELECT 1 FROM orders\n\tWHERE order_id = 'a''b'\n"
        "@@order@DETAIL:  none\n"
        "@@order@LOG:  execute s1: SELECT 1 FROM orders WHERE order_id = 'c' AND total IN (1, 2)\n"
        "@@order@LOG:  statement: BEGIN\n@@payment@LOG:  execute <unnamed>: UPDATE payments SET amount = $1\n"
    )
    assert list(plans.statements(written)) == [
        ("order", "SELECT 1 FROM orders\nWHERE order_id = 'a''b'"),
        ("order", "SELECT 1 FROM orders WHERE order_id = 'c' AND total IN (1, 2)"),
        ("payment", "UPDATE payments SET amount = $1"),
    ]
    assert plans.without_values("SELECT 1 FROM a WHERE b IN (1, 2, 3) AND c = 'x''y'") == plans.without_values(
        "SELECT 1  FROM a WHERE b IN (4, 5) AND c = ''"
    )
    read = {"Node Type": "Index Scan", "Index Name": "orders_pkey", "Relation Name": "orders"}
    below = plans.shape({"Node Type": "Limit", "Plans": [read]})
    assert below == "Limit (Index Scan orders orders_pkey)"
    before = {("order", "a"): "Seq Scan orders", ("order", "b"): below, ("order", "c"): below}
    after = {("order", "a"): below, ("order", "b"): below, ("order", "d"): below}
    assert plans.changed(before, after) == [plans.Changed("order", "a", "Seq Scan orders", below)]


def test_flatness_is_the_lowest_of_the_medians_of_pairs():
    turns = [
        {"who": who, "in_flight": n, "repeat": repeat, "sagas": 100, "seconds": seconds, "cpu_ms": {"all": seconds}}
        for n, pairs in {1: [(10, 10), (10, 5), (10, 20)], 8: [(9, 10), (8, 10), (5, 10)]}.items()
        for repeat, both in enumerate(pairs)
        for who, seconds in zip((FRESH, GROWN), both, strict=True)
    ]
    assert figures(json.loads(json.dumps(turns))) == {
        "flatness": 0.8, "flatness_1": 1.0, "cpu_1": 1.0, "flatness_8": 0.8, "cpu_8": 1.25,
    }  # fmt: skip
