"""One leader a database: one that dies is followed at once, one that freezes is put out first."""

import signal
import time

from tests.support.relays import Outbox, append, read_topic, relay, versions


def test_a_standby_takes_over_from_a_killed_leader_within_3_seconds(outbox: Outbox):
    with outbox.connect() as writer, relay(outbox) as leader:
        leader.wait_until_leading()
        with relay(outbox) as standby:
            standby.wait_for("standing by", lambda: standby.events("relay_stands_by"))
            assert standby.unready() is None
            append(writer, outbox.topic, "a", 1)
            outbox.wait_for_cursor(1)
            leader.kill()
            died_at = time.monotonic()
            append(writer, outbox.topic, "a", 2)
            outbox.wait_for_cursor(2)
            assert time.monotonic() - died_at < 3
            assert outbox.leader() == standby.name
    assert versions(read_topic(outbox.kafka, outbox.topic)) == {"a": [1, 2]}


def test_a_standby_takes_over_at_once_from_a_leader_that_stops(outbox: Outbox):
    with outbox.connect() as writer, relay(outbox) as leader:
        leader.wait_until_leading()
        with relay(outbox) as standby:
            standby.wait_for("standing by", lambda: standby.events("relay_stands_by"))
            assert leader.stop() == 0
            append(writer, outbox.topic, "a", 1)
            outbox.wait_for_cursor(1, deadline_seconds=3)


def test_a_frozen_leader_is_replaced_within_15_seconds_and_harms_nothing_when_it_wakes(outbox: Outbox):
    with outbox.connect() as writer, relay(outbox) as leader:
        leader.wait_until_leading()
        with relay(outbox) as standby:
            standby.wait_for("standing by", lambda: standby.events("relay_stands_by"))
            append(writer, outbox.topic, "a", 1)
            outbox.wait_for_cursor(1)
            leader.signal(signal.SIGSTOP)
            frozen_at = time.monotonic()
            append(writer, outbox.topic, "a", 2)
            outbox.wait_for_cursor(2, deadline_seconds=15)
            assert time.monotonic() - frozen_at < 15
            assert outbox.leader() == standby.name
            leader.signal(signal.SIGCONT)
            leader.wait_for("standing by", lambda: leader.events("relay_stands_by"))
            append(writer, outbox.topic, "a", 3)
            outbox.wait_for_cursor(3)
            assert outbox.leader() == standby.name
    assert versions(read_topic(outbox.kafka, outbox.topic)) == {"a": [1, 2, 3]}
