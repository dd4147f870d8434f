"""Whoever looks for what is due, or is to be forgotten, reads that, however much there is that is neither."""

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest

from devstack.harness.databases import ServiceDatabase
from tests.support.outbox_command import place_orders
from waybill.observability.exposure import DUE_COUNT, DUE_OLDEST
from waybill.rest.idempotency import FORGET, KEPT_HOURS
from waybill.tasks.deadlines import CLAIM

WAITING = 5_000
ROOM = 20  # rows that a statement may read and not need
TASKS = """
INSERT INTO waybill_due_task (task, event_id, due_at)
SELECT 'expire_order', event_id, now() + n * interval '1 h'
FROM waybill_outbox, generate_series(1, %s) AS n
"""
ANSWERS = """
INSERT INTO waybill_idempotency_key (caller, path, key, fingerprint, status, headers, body, created_at)
SELECT 'ann', '/v1/orders', n::text, 'f', 202, '{}', '{}', now() - n * interval '1 s' FROM generate_series(1, %s) AS n
"""
GAUGE = {"tasks": ["expire_order"], "long": [], "most": 1_000}
STATEMENTS: dict[str, tuple[str, Any]] = {
    "claim": (CLAIM, {"tasks": ["expire_order"], "capacity": [16], "lease": 1.0, "retry": 1.0}),
    "count": (DUE_COUNT, GAUGE),
    "oldest": (DUE_OLDEST, GAUGE),
    "forget": (FORGET, [KEPT_HOURS, 1_000]),
}


def read_rows(plan: Mapping[str, Any]) -> Iterator[float]:
    """Yield how many rows each step that reads a table has looked at."""
    if "Relation Name" in plan:
        looked_at = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        yield looked_at * plan["Actual Loops"]
    for below in plan.get("Plans", ()):
        yield from read_rows(below)


@pytest.mark.parametrize("name", STATEMENTS)
def test_what_is_not_due_yet_is_not_read(order_database: ServiceDatabase, name: str):
    place_orders(1)
    statement, values = STATEMENTS[name]
    with psycopg.connect(order_database.superuser_url, autocommit=True) as session:
        session.execute(TASKS, [WAITING])
        session.execute(ANSWERS, [WAITING])
        session.execute("ANALYZE")
        explained = session.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".encode(), values).fetchone()
    assert explained is not None
    assert max(read_rows(explained[0][0]["Plan"])) <= ROOM
