"""`outbox redrive` gives what the broker refused back to the relay, in sequence, and tells what came of it."""

import json
import time

import pytest

from tests.support.outbox_command import AWAY, Ended, execute, outbox, settings
from tests.support.redriving import ROOMY, refuse
from tests.support.relays import Outbox, append, make_topic, read_topic, relay, set_limit, versions

UNSENT = "SELECT body->>'aggregate_id', status FROM published WHERE status <> 2 ORDER BY (body->>'position')::bigint"


def redrive(own: Outbox, *arguments: str) -> Ended:
    """Redrive one database's publications."""
    told = ["--service", "shop", *([] if "--reason" in arguments else ["--reason", "repaired"]), *arguments]
    return outbox("redrive", "--json", *told, **settings(shop=own.database.service_url))


@pytest.mark.slow
def test_too_large_fine_fine_are_sent_as_1_2_3_once_repaired(own_outbox: Outbox):
    refuse(own_outbox, "a")
    set_limit(own_outbox.kafka, own_outbox.topic, ROOMY)
    with relay(own_outbox):
        done = redrive(own_outbox, "--reason", "limit raised", "--by", "ana")
    assert done.code == 0, done.err
    assert [(one["service"], one["kind"], one["key"], one["place"], one["failure"]) for one in done.lines()] == [
        ("shop", "publication", "a", f"position {number}", None) for number in (1, 2, 3)
    ]
    assert "3 publications sent, 0 failed again, 0 not sent yet" in done.err
    assert versions(read_topic(own_outbox.kafka, own_outbox.topic)) == {"a": [1, 2, 3]}
    ((operator, verb, reason, what),) = own_outbox.execute(
        "SELECT operator, verb, reason, what FROM waybill_operator_action"
    )
    assert (operator, verb, reason) == ("ana", "redrive", "limit raised")
    assert what == {"publications": 3, "messages": 0}


def test_what_is_refused_again_becomes_a_dead_letter_again_with_its_reason(own_outbox: Outbox):
    refuse(own_outbox, "a")
    with relay(own_outbox):
        done = redrive(own_outbox)
    assert done.code == 1
    assert [one["failure"].partition(":")[0] for one in done.lines()] == ["too_large", "behind", "behind"]
    assert "0 publications sent, 3 failed again, 0 not sent yet" in done.err


def test_filters_choose_whole_aggregates(own_outbox: Outbox):
    other = make_topic(own_outbox.kafka)
    refuse(own_outbox, "a", "b")
    refuse(own_outbox, "c", topic=other)
    with own_outbox.connect() as writer, relay(own_outbox):
        append(writer, own_outbox.topic, "c", 4)  # elsewhere, and behind
        own_outbox.wait_for_cursor(10)
    redrive(own_outbox, "--wait", "0", "--key", "a")
    assert own_outbox.execute(UNSENT) == [*[("a", 1)] * 3, *[("b", -1)] * 3, *[("c", -1)] * 4]
    redrive(own_outbox, "--wait", "0", "--topic", other)
    assert own_outbox.execute(UNSENT) == [*[("a", 1)] * 3, *[("b", -1)] * 3, *[("c", 1)] * 4]
    nothing = redrive(own_outbox, "--wait", "0", "--key", "nobody's")
    assert (nothing.code, nothing.out, "no dead letter matches" in nothing.err) == (1, "", True)
    ((what,),) = own_outbox.execute("SELECT what FROM waybill_operator_action ORDER BY id LIMIT 1")
    assert what == {"publications": 3, "messages": 0, "keys": ["a"]}


def test_a_type_or_reason_chooses_aggregates_whose_first_has_it(own_outbox: Outbox):
    refuse(own_outbox, "a")
    own_outbox.execute("UPDATE published SET body = jsonb_set(body, '{event_type}', '\"x.Late\"') WHERE id IN"
                       " (SELECT event_id FROM waybill_outbox WHERE aggregate_version = 2)")  # fmt: skip
    late = redrive(own_outbox, "--wait", "0", "--type", "Late")
    assert (late.code, [one["failure"] for one in late.lines()]) == (
        1,
        ["stays: an earlier dead letter of its key was not chosen"],
    )
    assert own_outbox.execute(UNSENT) == [("a", -1)] * 3
    redrive(own_outbox, "--wait", "0", "--reason-contains", "too_large")
    assert own_outbox.execute(UNSENT) == [("a", 1)] * 3


def test_one_side_leaves_the_other_alone(own_outbox: Outbox):
    message = {"topic": "u", "key": "b", "place": "u/0/12", "reason": "defect", "record": {}, "consumer": "shop"}
    execute(
        own_outbox.database,
        "INSERT INTO received (id, msg_id, headers, added, expires_at, retry, status)"
        " VALUES (gen_random_uuid(), 'shop:1', %s, now(), now(), 0, -1)",
        json.dumps(message),
    )
    done = redrive(own_outbox, "--publications")
    assert (done.code, done.out, "messages" in done.err) == (0, "", False)
    assert "1 of these dead letters are unknown to its program" in redrive(own_outbox, "--messages").err


def test_without_a_relay_they_wait_for_one_and_that_is_said(own_outbox: Outbox):
    refuse(own_outbox, "a")
    own_outbox.execute("UPDATE waybill_outbox_cursor SET heartbeat_at = heartbeat_at - interval '1 minute'")
    done = redrive(own_outbox, "--wait", "0.3")
    assert (done.code, {one["failure"] for one in done.lines()}) == (1, {"not sent yet"})
    assert "shop: no relay leads this database" in done.err
    set_limit(own_outbox.kafka, own_outbox.topic, ROOMY)
    with relay(own_outbox) as running:
        running.wait_for("all sent", lambda: own_outbox.execute(UNSENT) == [])


def test_nobody_waits_for_a_relay_that_is_paused(own_outbox: Outbox):
    refuse(own_outbox, "a")
    own_outbox.execute("INSERT INTO waybill_relay_pause (paused_by, reason) VALUES ('ana', 'the broker moves')")
    begun = time.monotonic()
    done = redrive(own_outbox, "--wait", "50")
    assert time.monotonic() - begun < 20
    assert done.code == 1
    assert "shop: the relay is paused by ana since 20" in done.err


def test_no_dead_letter_is_nothing_to_do_and_not_on_record(own_outbox: Outbox):
    done = redrive(own_outbox)
    assert (done.code, done.out) == (0, "")
    assert own_outbox.execute("SELECT count(*) FROM waybill_operator_action") == [(0,)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--service", "order"], "the following arguments are required: --reason"),
        (["--reason", "why"], "say which service: --service order"),
        (["--messages", "--publications"], "not allowed with"),
        (["--wait", "-1"], "-1 is no number of seconds"),
        (["--service", "order", "--reason", "why", "--offset", "1"], "--offset needs --topic and --partition"),
        (["--service", "order", "--reason", "why", "--key", ""], "argument --key: it is empty"),
    ],
)
def test_a_choice_that_makes_no_sense_is_one_line(arguments: list[str], says: str):
    done = outbox("redrive", *arguments, **settings(order=AWAY))
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert says in done.err


def test_a_database_that_does_not_answer_costs_its_own_answer_only(own_outbox: Outbox):
    refuse(own_outbox, "a")
    set_limit(own_outbox.kafka, own_outbox.topic, ROOMY)
    with relay(own_outbox):
        told = ["--service", "order", "--service", "shop", "--reason", "why"]
        done = outbox("redrive", "--json", *told, **settings(order=AWAY, shop=own_outbox.database.service_url))
    assert (done.code, len(done.lines())) == (3, 3)
    assert "database order: " in done.err
