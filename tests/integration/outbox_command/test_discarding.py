"""Dead letters can be discarded for good, on record; `verify` does not report them, and their followers can follow."""

from uuid import UUID

import psycopg
import pytest

from tests.support.dead_letters import BROKEN, dead_letter_pair, redrive
from tests.support.inbox import dead_letters, message, process, reserved
from tests.support.orders import placed
from tests.support.outbox_command import Ended, outbox, settings
from tests.support.relays import Outbox, append, read_topic, relay, set_limit, versions

EXECUTE = ["--execute", "--reason", "a test wrote to the topic", "--by", "ana"]
BEATEN = "SELECT heartbeat_at FROM waybill_outbox_cursor"
DECISIONS = "SELECT kind, key, event_type, topic, reason FROM waybill_operator_decision ORDER BY id"


def discard(service: str, url: str, *arguments: str, kafka: str = "127.0.0.1:1") -> Ended:
    """Discard in one database."""
    return outbox("discard", "--json", "--service", service, *arguments, **settings(kafka, **{service: url}))


def refused(own: Outbox, *aggregates: str) -> None:
    """Have version 1 of each aggregate refused as too large, and versions 2 and 3 behind it."""
    set_limit(own.kafka, own.topic, 10_000)
    with own.connect() as writer, relay(own):
        for aggregate in aggregates:
            for version, size in [(1, 20_000), (2, 20), (3, 20)]:
                last = append(writer, own.topic, aggregate, version, size=size)
        own.wait_for_cursor(last)


def test_without_execute_it_only_lists_what_would_go(inventory):
    event = dead_letter_pair()
    done = discard("inventory", inventory.service_url, "--reason-contains", "Unreadable")
    assert (done.code, [one["key"] for one in done.lines()]) == (0, [event.aggregate_id])
    assert "dry run: 0 publications and 1 messages; --execute --reason '…' discards them for good" in done.err
    assert len(dead_letters()) == 2


def test_a_discarded_message_is_gone_for_good_and_those_behind_it_can_be_redriven(inventory):
    event = placed()
    rubbish, good = message(event, value=BROKEN), message(event)
    process(rubbish)
    process(good)
    done = discard("inventory", inventory.service_url, "--event", rubbish.event_id, *EXECUTE)
    assert (done.code, [one["event_id"] for one in done.lines()]) == (0, [rubbish.event_id])
    process(rubbish)  # a copy
    assert [one["place"] for one in dead_letters()] == [good.place]
    assert redrive(inventory, "--key", event.aggregate_id).code == 0
    assert (dead_letters(), reserved()) == ([], 2)
    with psycopg.connect(inventory.service_url) as session:
        ((kind, key, event_type, topic, why),) = session.execute(DECISIONS).fetchall()
        audit = session.execute(
            "SELECT operator, verb, reason, what FROM waybill_operator_action ORDER BY id"
        ).fetchone()
    assert (kind, key, event_type, topic) == ("discarded_message", event.aggregate_id, event.event_type, event.topic)
    assert "Unreadable" in why
    what = {"publications": 0, "messages": 1, "events": [rubbish.event_id]}
    assert audit == ("ana", "discard", "a test wrote to the topic", what)


def test_one_is_chosen_by_its_place_many_by_key_or_type_and_all_only_by_that_word(inventory):
    first, second, third = dead_letter_pair(), dead_letter_pair(), dead_letter_pair()
    url = inventory.service_url
    assert "choose what to discard" in discard("inventory", url, *EXECUTE).err
    topic, partition, offset = dead_letters()[0]["place"].split("/")
    place = ["--topic", topic, "--partition", partition, "--offset", offset]
    assert len(discard("inventory", url, *place, *EXECUTE).lines()) == 1
    assert [one["key"] for one in dead_letters()].count(first.aggregate_id) == 1
    assert len(discard("inventory", url, "--key", second.aggregate_id, *EXECUTE).lines()) == 2
    assert discard("inventory", url, "--type", "NoSuchType", *EXECUTE).code == 1
    assert len(discard("inventory", url, "--type", "OrderPlaced", "--key", third.aggregate_id, *EXECUTE).lines()) == 2
    assert len(discard("inventory", url, "--all", *EXECUTE).lines()) == 1
    assert dead_letters() == []


def test_execution_needs_a_reason_and_a_service():
    for arguments, says in [
        (["--service", "order", "--all", "--execute"], "--execute needs --reason"),
        (["--all"], "say which service: --service order"),
    ]:
        done = outbox("discard", *arguments, **settings(order="postgresql://nobody@127.0.0.1:1/nothing"))
        assert (done.code, len(done.err.splitlines())) == (2, 1)
        assert says in done.err


@pytest.mark.slow
def test_a_discarded_publication_is_not_lost_and_its_followers_are_sent_after_a_redrive(own_outbox: Outbox):
    refused(own_outbox, "a")
    url, kafka = own_outbox.database.service_url, own_outbox.kafka
    here = settings(kafka, shop=url)
    ((first,),) = own_outbox.execute("SELECT event_id FROM waybill_outbox WHERE aggregate_version = 1")
    with relay(own_outbox):
        done = discard("shop", url, "--event", str(first), *EXECUTE)
        assert (done.code, [one["version"] for one in done.lines()]) == (0, [1])
        assert outbox("redrive", "--service", "shop", "--key", "a", "--reason", "the first is gone", **here).code == 0
        assert versions(read_topic(kafka, own_outbox.topic)) == {"a": [2, 3]}
        with own_outbox.connect() as writer:
            own_outbox.wait_for_cursor(append(writer, own_outbox.topic, "a", 4))
    verified = outbox("verify", "--no-rows", "--json", **here)
    (counts,) = verified.lines()
    assert (verified.code, counts["lost"], counts["discarded"]) == (0, 0, 1)
    shown = outbox("show", str(first), "--json", **here).lines()[0]
    assert shown["standing"] == "discarded"
    planned = outbox("replay", "--positions", "1..", "--json", **here).lines()
    assert {line["goes"]: line["events"] for line in planned} == {"to all": 3, "nowhere: discarded": 1}


@pytest.mark.slow
def test_a_relay_that_runs_sends_what_follows_once_all_of_a_key_is_discarded(own_outbox: Outbox):
    refused(own_outbox, "a")
    with relay(own_outbox) as running, own_outbox.connect() as writer:
        append(writer, own_outbox.topic, "a", 4)
        own_outbox.wait_for_cursor(4)
        assert [version for _, version, _ in own_outbox.dead_letters()] == [1, 2, 3, 4]
        assert len(discard("shop", own_outbox.database.service_url, "--key", "a", *EXECUTE).lines()) == 4
        for _ in range(2):  # with the first heartbeat the relay knows; with the second it has read what is left
            beaten = own_outbox.execute(BEATEN)
            running.wait_for("a heartbeat", lambda beaten=beaten: own_outbox.execute(BEATEN) > beaten)
        own_outbox.wait_for_cursor(append(writer, own_outbox.topic, "a", 5))
        sent = versions(read_topic(own_outbox.kafka, own_outbox.topic))
    assert (sent, own_outbox.dead_letters()) == ({"a": [5]}, [])


def test_what_a_redrive_has_released_is_not_discarded(own_outbox: Outbox):
    refused(own_outbox, "a")
    url = own_outbox.database.service_url
    told = ["--service", "shop", "--key", "a", "--reason", "repaired", "--wait", "0"]
    outbox("redrive", *told, **settings(own_outbox.kafka, shop=url))
    done = discard("shop", url, "--key", "a", *EXECUTE)
    assert (done.code, done.out) == (1, "")
    assert own_outbox.execute("SELECT count(*) FROM published WHERE status = 1") == [(3,)]


def test_the_services_role_cannot_take_a_decision_back(own_outbox: Outbox):
    refused(own_outbox, "a")
    (one,) = discard("shop", own_outbox.database.service_url, "--type", "OrderPlaced", "--reason-contains", "too_large",
                     *EXECUTE).lines()  # fmt: skip
    assert own_outbox.execute("SELECT event_id FROM waybill_operator_decision") == [(UUID(one["event_id"]),)]
    with own_outbox.connect() as service:
        for statement in ("DELETE FROM waybill_operator_decision", "UPDATE waybill_operator_decision SET key = 'x'"):
            try:
                service.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                continue
            raise AssertionError(statement)
