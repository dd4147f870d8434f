"""What operators ask of a running relay: to send dead letters, in order, and to pause."""

import signal
import threading

import pytest

from devstack.harness.wait import wait_until
from tests.support.relays import Outbox, append, make_topic, read_topic, relay, repeated, set_limit, versions

LIMIT, ROOMY = 10_000, 1_000_000
REDRIVE = "UPDATE published SET status = 1 WHERE status = -1"
KNOWS_NOTHING = """
from outbox_relay.relay import dead_letters
from outbox_relay.relay.program.serving import main
dead_letters._against = lambda *_: None
main()
"""


def _refuse_the_first_of_three(outbox: Outbox, writer) -> None:
    set_limit(outbox.kafka, outbox.topic, LIMIT)
    for aggregate, version, size in [("a", 1, 20_000), ("a", 2, 20), ("a", 3, 20), ("b", 1, 20)]:
        append(writer, outbox.topic, aggregate, version, size=size)
    outbox.wait_for_cursor(4)
    assert [(key, version) for key, version, _ in outbox.dead_letters()] == [("a", 1), ("a", 2), ("a", 3)]


def _wait_until_sent(outbox: Outbox, running, count: int) -> None:
    sent = "SELECT count(*) FROM published WHERE status = 2"
    running.wait_for(f"{count} sent", lambda: outbox.execute(sent)[0][0] == count)


def test_too_large_fine_fine_arrive_as_1_2_3_after_the_fix(outbox: Outbox):
    with relay(outbox) as running, outbox.connect() as writer:
        _refuse_the_first_of_three(outbox, writer)
        set_limit(outbox.kafka, outbox.topic, ROOMY)
        outbox.execute(REDRIVE)
        _wait_until_sent(outbox, running, 3)
        append(writer, outbox.topic, "a", 4)
        outbox.wait_for_cursor(5)
    records = read_topic(outbox.kafka, outbox.topic)
    assert (versions(records), repeated(records)) == ({"a": [1, 2, 3, 4], "b": [1]}, 0)


def test_what_is_refused_again_becomes_a_dead_letter_again_with_those_behind_it(outbox: Outbox):
    with relay(outbox) as running, outbox.connect() as writer:
        _refuse_the_first_of_three(outbox, writer)
        outbox.execute("UPDATE published SET status = 1 WHERE body->>'aggregate_version' = '1'")
        failed_again = "SELECT count(*) FROM published WHERE status = -1 AND retry > 0"
        running.wait_for("three failed again", lambda: outbox.execute(failed_again)[0][0] == 3)
    assert versions(read_topic(outbox.kafka, outbox.topic)) == {"b": [1]}
    assert outbox.dead_letters() == [("a", 1, "too_large"), ("a", 2, "behind"), ("a", 3, "behind")]


def test_a_release_that_only_the_broker_refuses_becomes_a_dead_letter_by_its_answer(outbox: Outbox):
    with relay(outbox) as running, outbox.connect() as writer:
        _refuse_the_first_of_three(outbox, writer)
        append(writer, outbox.topic, "b", 2)
        outbox.wait_for_cursor(5)
        assert running.stop() == 0
        outbox.execute(REDRIVE)
    with relay(outbox, program=("-c", KNOWS_NOTHING)) as running, outbox.connect() as writer:
        append(writer, outbox.topic, "b", 3)
        outbox.wait_for_cursor(6)
        running.wait_for("an answer", lambda: not outbox.execute("SELECT FROM published WHERE status = 1"))
    assert versions(read_topic(outbox.kafka, outbox.topic)) == {"b": [1, 2, 3]}
    assert [(key, version) for key, version, _ in outbox.dead_letters()] == [("a", 1), ("a", 2), ("a", 3)]
    assert outbox.dead_letters()[0][2] == "refused"


def test_a_release_keeps_the_order_while_its_aggregate_continues(outbox: Outbox):
    stop = threading.Event()
    with relay(outbox) as running, outbox.connect() as writer:
        _refuse_the_first_of_three(outbox, writer)
        set_limit(outbox.kafka, outbox.topic, ROOMY)

        def go_on() -> None:
            version = 3
            with outbox.connect() as own:
                while not stop.is_set():
                    version += 1
                    append(own, outbox.topic, "a", version)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            wait_until(lambda: len(outbox.dead_letters()) > 50, deadline_seconds=10, what="more behind it")
            outbox.execute(REDRIVE)
            running.wait_for("no dead letter any more", lambda: not outbox.dead_letters())
        finally:
            stop.set()
            thread.join()
        last = outbox.execute("SELECT max(position) FROM waybill_outbox")[0][0]
        outbox.wait_for_cursor(last)
        outbox.execute(REDRIVE)  # what may have become one between the two looks
        running.wait_for(
            "no dead letter any more", lambda: not outbox.execute("SELECT FROM published WHERE status <> 2")
        )
    records = read_topic(outbox.kafka, outbox.topic)
    assert versions(records)["a"] == list(range(1, last - 3 + 3))
    assert repeated(records) == 0


def test_a_release_outlives_its_relay(outbox: Outbox):
    with relay(outbox), outbox.connect() as writer:
        _refuse_the_first_of_three(outbox, writer)
        set_limit(outbox.kafka, outbox.topic, ROOMY)
    with relay(outbox, program=("-c", KILLED_BEFORE_IT_IS_DURABLE)) as running:
        outbox.execute(REDRIVE)
        wait_until(lambda: running.process.poll() is not None, deadline_seconds=15, what="its death")
        assert running.process.returncode == -signal.SIGKILL, running.log
    with relay(outbox) as running:
        _wait_until_sent(outbox, running, 3)
    records = read_topic(outbox.kafka, outbox.topic)
    assert (versions(records), repeated(records)) == ({"a": [1, 2, 3], "b": [1]}, 3)


KILLED_BEFORE_IT_IS_DURABLE = """
import os
from outbox_relay.relay.dead_letters import DeadLetters
from outbox_relay.relay.program.serving import main
DeadLetters.store = lambda *_: os.kill(os.getpid(), 9)
main()
"""


@pytest.mark.slow
def test_a_paused_relay_sends_nothing_and_says_so_until_it_is_resumed(outbox: Outbox):
    other = make_topic(outbox.kafka)
    with relay(outbox) as running, outbox.connect() as writer:
        append(writer, outbox.topic, "a", 1)
        outbox.wait_for_cursor(1)
        outbox.execute("INSERT INTO waybill_relay_pause (paused_by, reason) VALUES ('ana', 'the broker moves')")
        running.wait_for("the pause", lambda: "paused: by ana: the broker moves" in (running.unready() or ""))
        for version in range(2, 100):
            append(writer, outbox.topic, "a", version)
        append(writer, other, "b", 1)
        beaten = outbox.execute("SELECT heartbeat_at FROM waybill_outbox_cursor")
        running.wait_for(
            "a later heartbeat", lambda: outbox.execute("SELECT heartbeat_at FROM waybill_outbox_cursor") > beaten
        )
        assert outbox.cursor() == (1, [])
        assert [record.version for record in read_topic(outbox.kafka, outbox.topic)] == [1]
        outbox.execute("DELETE FROM waybill_relay_pause")
        outbox.wait_for_cursor(100)
        assert running.unready() is None
    assert versions(read_topic(outbox.kafka, outbox.topic)) == {"a": list(range(1, 100))}
