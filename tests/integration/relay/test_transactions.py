"""With Kafka transactions, whoever reads committed records only never reads a stale leader's copy."""

import signal
from pathlib import Path

import pytest

from tests.support.relays import (
    TRANSACTIONS,
    Outbox,
    append,
    append_many,
    read_topic,
    relay,
    repeated,
    set_limit,
    versions,
)

FROZEN_BEFORE_IT_COMMITS = """
import os, signal
from outbox_relay.relay.kafka.producer import Sender
from outbox_relay.relay.program.serving import main

commit = Sender.commit

def freeze_once(self, batch):
    if batch.open and batch.acknowledged == batch.rows:
        Sender.commit = commit
        os.kill(os.getpid(), signal.SIGSTOP)
    commit(self, batch)

Sender.commit = freeze_once
main()
"""


def test_everything_arrives_in_order(outbox: Outbox):
    with relay(outbox, **TRANSACTIONS), outbox.connect() as writer:
        append_many(writer, outbox.topic, 5_000)
        for version in range(1, 201):
            append(writer, outbox.topic, "a", version)
        outbox.wait_for_cursor(5_200)
    records = read_topic(outbox.kafka, outbox.topic)
    assert (len(records), repeated(records)) == (5_200, 0)
    assert versions(records)["a"] == list(range(1, 201))


@pytest.mark.slow
def test_a_leader_that_wakes_up_is_fenced_by_the_broker(outbox: Outbox):
    with outbox.connect() as writer:
        for version in range(1, 101):
            append(writer, outbox.topic, "a", version)
    stale = {"WAYBILL_RELAY_STALE_SECONDS": "3", **TRANSACTIONS}
    with relay(outbox, program=("-c", FROZEN_BEFORE_IT_COMMITS), **stale) as frozen:
        frozen.wait_for("its freezing", lambda: _is_stopped(frozen.process.pid))
        assert read_topic(outbox.kafka, outbox.topic) == []
        with relay(outbox, **stale) as standby, outbox.connect() as writer:
            standby.wait_until_leading(15)
            append(writer, outbox.topic, "a", 101)
            outbox.wait_for_cursor(101)
            frozen.signal(signal.SIGCONT)
            frozen.wait_for("its return", lambda: frozen.events("waiting"))
            append(writer, outbox.topic, "a", 102)
            outbox.wait_for_cursor(102)
    records = read_topic(outbox.kafka, outbox.topic)
    assert (versions(records), repeated(records)) == ({"a": list(range(1, 103))}, 0)


def test_nothing_passes_a_refused_record(outbox: Outbox):
    with relay(outbox, **TRANSACTIONS) as running, outbox.connect() as writer:
        append(writer, outbox.topic, "a", 1, size=50_000)
        outbox.wait_for_cursor(1)
        set_limit(outbox.kafka, outbox.topic, 10_000)
        for aggregate, version, size in [("a", 2, 20), ("a", 3, 50_000), ("b", 1, 20), ("a", 4, 20)]:
            append(writer, outbox.topic, aggregate, version, size=size)
        outbox.wait_for_cursor(5)
        assert running.unready() is None
    records = read_topic(outbox.kafka, outbox.topic)
    assert (versions(records), repeated(records)) == ({"a": [1, 2], "b": [1]}, 0)
    assert [(key, version) for key, version, _ in outbox.dead_letters()] == [("a", 3), ("a", 4)]


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")
