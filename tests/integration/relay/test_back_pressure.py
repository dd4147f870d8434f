"""A million rows that wait cost no memory, and nothing is fetched that cannot be sent."""

from pathlib import Path

import psutil
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import OffsetSpec

from outbox_relay.relay.safety import restore_check
from tests.support.broker import Broker
from tests.support.relays import Outbox, append_many, relay

WAITING = 1_000_000
ROWS, BATCHES = 2_000, 2
BOUNDS = {
    "WAYBILL_RELAY_BATCH_ROWS": str(ROWS),
    "WAYBILL_RELAY_BATCHES_IN_FLIGHT": str(BATCHES),
    "WAYBILL_RELAY_STALL_SECONDS": "1",
}
HEARTBEATS = 60  # each looks at the oldest row that waits
LOOKED_UP = 3 * restore_check.DEPTH  # once, when the broker answers: the last records of each partition
RESIDENT_BYTES = 120_000_000


def peak_resident_bytes(pid: int) -> int:
    """The most memory that the process ever held, where the system keeps count; else what it holds now."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return psutil.Process(pid).memory_info().rss
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def on_topic(broker: Broker, topic: str, partitions: int = 3) -> int:
    """How many records the topic has."""
    admin = broker.admin()
    wanted = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in range(partitions)}
    return sum(future.result(10).offset for future in admin.list_offsets(wanted).values())


@pytest.mark.slow
def test_a_million_rows_that_wait_for_the_broker_cost_no_memory_and_no_reading(broker: Broker, broker_outbox: Outbox):
    with broker_outbox.connect() as writer:
        append_many(writer, broker_outbox.topic, WAITING, size=250)
    before = broker_outbox.rows_read()
    broker.freeze()
    with relay(broker_outbox, **BOUNDS) as running:
        running.wait_for("a session given up", lambda: running.failures("broker") == 1, 30)
        assert broker_outbox.rows_read() - before <= HEARTBEATS
        broker.thaw()
        running.wait_for("the first rows", lambda: broker_outbox.cursor()[0] > 50_000, 30)
        broker.freeze()
        so_far = running.failures("broker")
        running.wait_for("a session given up", lambda: running.failures("broker") > so_far, 30)
        position, _ = broker_outbox.cursor()
        assert position < WAITING
        ahead = ROWS * (BATCHES + 1) * running.failures("broker")  # one page, read again after each failure
        assert broker_outbox.rows_read() - before - position <= ahead + HEARTBEATS + LOOKED_UP
        broker.thaw()
        broker_outbox.wait_for_cursor(WAITING, deadline_seconds=90)
        resident = peak_resident_bytes(running.process.pid)
    assert resident < RESIDENT_BYTES, f"{resident / 1e6:.0f} MB"
    assert WAITING <= on_topic(broker, broker_outbox.topic) <= WAITING + ROWS * BATCHES
