"""Dead letters are handled again in sequence, exactly once; what fails again stays where it was."""

import threading
from uuid import uuid4

import psycopg
import pytest
from django.db import connection

from devstack.harness.wait import wait_until
from tests.support.dead_letters import BROKEN, dead_letter_pair, redrive
from tests.support.inbox import dead_letters, message, process, reserved
from tests.support.orders import placed
from tests.support.redriving import repair
from waybill.consumer.message import Message


def process_apart(one: Message) -> None:
    """Process in a thread of its own, and leave no session behind."""
    try:
        process(one)
    finally:
        connection.close()


@pytest.mark.slow
def test_what_is_repaired_is_handled_in_sequence_and_its_key_flows_again(inventory):
    event = dead_letter_pair()
    other = dead_letter_pair()
    repair(inventory, event)
    done = redrive(inventory)
    assert (done.code, reserved()) == (1, 2)
    assert [(one["key"], one["failure"] is None) for one in done.lines() if one["key"] == event.aggregate_id] == [
        (event.aggregate_id, True)
    ] * 2
    assert {one["key"] for one in dead_letters()} == {other.aggregate_id}
    process(message(event))
    assert {one["key"] for one in dead_letters()} == {other.aggregate_id}
    assert redrive(inventory).code == 1


def test_nothing_is_handled_twice(inventory):
    event = dead_letter_pair()
    repair(inventory, event)
    assert redrive(inventory).code == 0
    again = redrive(inventory)
    assert (again.code, again.out, reserved()) == (0, "", 2)
    assert dead_letters() == []


def test_a_message_that_comes_during_a_release_waits_for_it(inventory):
    event = placed(uuid4())
    process(message(event, value=BROKEN))
    with psycopg.connect(inventory.service_url) as releasing:
        releasing.execute("DELETE FROM received WHERE status = -1")
        consuming = threading.Thread(target=process_apart, args=(message(event),))
        consuming.start()
        with psycopg.connect(inventory.superuser_url, autocommit=True) as looking:
            waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            wait_until(lambda: looking.execute(waiting).fetchone(), deadline_seconds=10, what="the consumer waits")
    consuming.join(10)
    assert (dead_letters(), reserved()) == ([], 2)


def test_a_message_that_fails_again_keeps_the_new_reason(inventory):
    event = dead_letter_pair()
    with psycopg.connect(inventory.superuser_url, autocommit=True) as session:
        session.execute("UPDATE received SET headers = jsonb_set(headers, '{reason}', '\"old\"') WHERE status = -1")
    assert redrive(inventory).code == 1
    reasons = {one["place"]: one["reason"] for one in dead_letters() if one["key"] == event.aggregate_id}
    assert sorted(reason.partition(":")[0] for reason in reasons.values()) == ["Unreadable", "old"]


def test_one_key_is_redriven_in_sequence_and_others_stay(inventory):
    event, other = dead_letter_pair(), dead_letter_pair()
    for one in (event, other):
        repair(inventory, one)
    done = redrive(inventory, "--key", event.aggregate_id)
    assert (done.code, reserved()) == (0, 2)
    assert [one["key"] for one in done.lines()] == [event.aggregate_id] * 2
    assert {one["key"] for one in dead_letters()} == {other.aggregate_id}


def test_a_reason_chooses_the_first_of_a_key_and_those_behind_it_go_along(inventory):
    event = dead_letter_pair()
    repair(inventory, event)
    assert redrive(inventory, "--reason-contains", "no such text").code == 1
    assert reserved() == 0
    done = redrive(inventory, "--reason-contains", "Unreadable", "--by", "ana")
    assert (done.code, len(done.lines()), reserved(), dead_letters()) == (0, 2, 2, [])
    with psycopg.connect(inventory.service_url) as session:
        ((operator, reason, what),) = session.execute(
            "SELECT operator, reason, what FROM waybill_operator_action"
        ).fetchall()
    assert (operator, reason) == ("ana", "repaired")
    assert what == {"publications": 0, "messages": 2, "reasons": ["Unreadable"]}


def test_what_was_chosen_never_overtakes_an_earlier_dead_letter_of_its_key(inventory):
    event = dead_letter_pair()
    repair(inventory, event)
    last = [one["place"] for one in dead_letters()][-1]
    topic, partition, offset = last.split("/")
    chosen = ["--topic", topic, "--partition", partition, "--offset", offset]
    done = redrive(inventory, *chosen)
    assert (done.code, reserved(), len(dead_letters())) == (1, 0, 2)
    ((place, failure),) = [(one["place"], one["failure"]) for one in done.lines()]
    assert (place, failure) == (last, "stays: an earlier dead letter of its key was not chosen")
    assert "1 would overtake an earlier dead letter of their key and stay; choose the key: --key KEY" in done.err


def test_in_a_topic_that_has_grown_the_old_partition_goes_first(inventory):
    event = dead_letter_pair()
    with psycopg.connect(inventory.superuser_url, autocommit=True) as session:
        session.execute(
            "UPDATE received SET added = added + interval '1 hour',"
            " headers = jsonb_set(headers, '{place}', to_jsonb(headers->>'topic' || '/9/0'))"
            " WHERE headers->>'reason' LIKE 'behind%%' AND headers->>'key' = %s",
            (event.aggregate_id,),
        )
    repair(inventory, event)
    done = redrive(inventory)
    assert done.code == 0
    assert [one["place"].split("/")[1] for one in done.lines()] == ["0", "9"]
