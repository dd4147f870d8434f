"""A long backlog is sent in larger requests, and what comes after it waits for nothing again."""

import pytest

from tests.support.relays import (
    Outbox,
    RelayProcess,
    append,
    append_many,
    read_topic,
    relay,
    repeated,
    versions,
)

WAITING = 40_000


def paces(running: RelayProcess) -> list[str]:
    return [event["reason"] for event in running.events("relay_renews_producer")]


@pytest.mark.slow
def test_a_change_of_pace_repeats_and_reorders_nothing(outbox: Outbox):
    with outbox.connect() as writer:
        append(writer, outbox.topic, "a", 1)
        append_many(writer, outbox.topic, WAITING)
        append(writer, outbox.topic, "a", 2)
        with relay(outbox) as running:
            outbox.wait_for_cursor(WAITING + 2, deadline_seconds=60)
            running.wait_for("the other pace", lambda: paces(running) == ["catching up", "keeping up again"])
            append(writer, outbox.topic, "a", 3)
            outbox.wait_for_cursor(WAITING + 3)
    found = read_topic(outbox.kafka, outbox.topic)
    assert (len(found), repeated(found)) == (WAITING + 3, 0)
    assert versions(found)["a"] == [1, 2, 3]


def test_transactions_keep_their_pace(outbox: Outbox):
    with outbox.connect() as writer:
        append_many(writer, outbox.topic, WAITING)
        with relay(outbox, WAYBILL_RELAY_TRANSACTIONS="true") as running:
            outbox.wait_for_cursor(WAITING, deadline_seconds=60)
            assert paces(running) == []
