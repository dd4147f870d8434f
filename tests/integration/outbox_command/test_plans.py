"""What is asked for one order's story, and for a page of what is due, is found by indexes, whatever else there is."""

from typing import Any

import psycopg
import pytest

from outbox_relay.operations import attention
from outbox_relay.operations.dead_letters import of_key
from outbox_relay.operations.sagas import facts, followers, usual
from outbox_relay.operations.tasks import due
from outbox_relay.operations.tasks.due import Choice
from tests.support.many_dead_letters import fill

FILL = """
INSERT INTO waybill_outbox
    (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version, payload, metadata)
SELECT gen_random_uuid(), 't', 'order', md5(i::text)::uuid::text, version, 't', 1, '', '{}'
FROM generate_series(1, 5000) AS i, generate_series(1, 4) AS version;
INSERT INTO waybill_due_task (task, event_id, due_at)
SELECT 'expire_order', event_id, now() + interval '1 hour' FROM waybill_outbox WHERE aggregate_version = 1;
INSERT INTO received (id, msg_id, added, expires_at, retry, status)
SELECT gen_random_uuid(), 'order_service:' || event_id, now(), now() + interval '30 days', 0, 2 FROM waybill_outbox
"""
# Of a handful of rows, or of one: read whole by right.
SMALL = {"waybill_outbox_cursor", "waybill_operator_decision", "published"}
ANY = {"service": "order"}


@pytest.fixture(scope="module")
def filled(database_server):
    """A database with 20,000 events, 5,000 due rows and 4,000 dead letters; and one event of an order in it."""
    with (
        database_server.fresh("order_service") as database,
        psycopg.connect(database.superuser_url, autocommit=True) as session,
    ):
        session.execute(FILL)
        fill(session, 4_000)
        session.execute("VACUUM ANALYZE")
        found = session.execute("SELECT aggregate_id, event_id FROM waybill_outbox WHERE position = 10001").fetchone()
        yield session, *(found or ())


def listed(**given: Any) -> dict[str, Any]:
    return Choice(**given).values() | ANY | {"limit": 50}


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (facts.EVENTS, lambda key, _: ANY | {"kinds": ["order"], "keys": [key]}),
        (facts.RECEIVED, lambda _, event: [[f"order_service:{event}"]]),
        (facts.REMEMBERS, lambda *_: []),
        (followers.EVENTS, lambda key, _: ANY | {"kind": "order", "keys": [key]}),
        (usual.EVENTS, lambda key, _: {"kind": "order", "keys": [key]}),
        (due.OF_EVENTS, lambda _, event: ANY | {"events": [event]}),
        (due.LISTED, lambda *_: listed()),
        (due.LISTED, lambda *_: listed(tasks=["expire_order"])),
        (due.LISTED, lambda *_: listed(failing=True)),
        (due.LISTED, lambda *_: listed(attention=True)),
        (due.FAILING, lambda *_: ANY | {"late": 120}),
        (of_key.MESSAGES, lambda key, _: ANY | {"key": key}),
        (attention.COUNT, lambda *_: []),
    ],
)
def test_it_is_found_by_an_index(filled, statement, values):
    session, key, event = filled
    rows = session.execute(f"EXPLAIN (FORMAT JSON) {statement}", values(key, event), prepare=False).fetchone()
    read_whole = {one["Relation Name"] for one in nodes(rows[0][0]["Plan"]) if one["Node Type"] == "Seq Scan"}
    assert read_whole <= SMALL


def nodes(plan: dict[str, Any]):
    """Every step of a plan."""
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)
