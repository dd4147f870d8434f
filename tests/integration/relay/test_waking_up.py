"""A leader that was frozen with a full queue wakes up behind its successor: copies, and no harm."""

import signal
import time

import psycopg
import pytest

from tests.support.broker import Broker
from tests.support.relays import EVENT_TYPE, SCHEMA_VERSION, Outbox, read_topic, relay, repeated, versions

KEYS, VERSIONS = 200, 200
ROWS, BATCHES = 5_000, 4
LARGE = {
    "WAYBILL_RELAY_BATCH_ROWS": str(ROWS),
    "WAYBILL_RELAY_BATCHES_IN_FLIGHT": str(BATCHES),
    "WAYBILL_RELAY_STALL_SECONDS": "5",
}
INSERT = """
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                    schema_version, payload, metadata)
SELECT gen_random_uuid(), %s, 'order', key::text, version, %s, %s, repeat('x', 250)::bytea, '{}'
FROM generate_series(%s::int, %s::int) AS version, generate_series(1, %s) AS key ORDER BY version, key
"""


def append_versions(writer: psycopg.Connection, outbox: Outbox, first: int, last: int) -> None:
    """Write these versions of every key."""
    writer.execute(INSERT, (outbox.topic, EVENT_TYPE, SCHEMA_VERSION, first, last, KEYS))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "queue", "most_copies"),
    [({}, ROWS * BATCHES, ROWS * BATCHES), ({"WAYBILL_RELAY_TRANSACTIONS": "true"}, ROWS, 0)],
    ids=["alone", "with transactions"],
)
def test_a_leader_frozen_with_a_full_queue_is_followed_within_15_seconds_and_only_repeats_when_it_wakes(
    broker: Broker, broker_outbox: Outbox, more: dict[str, str], queue: int, most_copies: int
):
    with broker_outbox.connect() as writer, relay(broker_outbox, **LARGE, **more) as leader:
        leader.wait_until_leading()
        with relay(broker_outbox, **LARGE, **more) as standby:
            standby.wait_for("standing by", lambda: standby.events("relay_stands_by"))
            append_versions(writer, broker_outbox, 1, 1)
            broker_outbox.wait_for_cursor(KEYS)
            broker.freeze()
            append_versions(writer, broker_outbox, 2, VERSIONS)
            leader.wait_for("a full queue", lambda: broker_outbox.rows_read() >= queue)
            leader.signal(signal.SIGSTOP)
            frozen_at = time.monotonic()
            standby.wait_for("leadership", lambda: broker_outbox.leader() == standby.name, 15)
            assert time.monotonic() - frozen_at < 15
            broker.thaw()
            standby.wait_for("the standby's first batch", lambda: broker_outbox.cursor()[0] > KEYS, 30)
            leader.signal(signal.SIGCONT)
            append_versions(writer, broker_outbox, VERSIONS + 1, VERSIONS + 10)
            broker_outbox.wait_for_cursor(KEYS * (VERSIONS + 10), deadline_seconds=30)
            leader.wait_for("standing by", lambda: leader.events("relay_stands_by"))
            assert broker_outbox.leader() == standby.name
    records = read_topic(broker_outbox.kafka, broker_outbox.topic)
    assert versions(records) == {str(key): list(range(1, VERSIONS + 11)) for key in range(1, KEYS + 1)}
    assert repeated(records) <= most_copies
