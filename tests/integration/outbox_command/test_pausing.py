"""A pause stops one service's relay until it is resumed, and who did either is on record."""

import pytest

from devstack.harness.databases import ServiceDatabase
from tests.support.outbox_command import AWAY, Ended, execute, outbox, settings
from tests.support.relays import Outbox, append, read_topic, relay

WHY = ["--reason", "the broker moves", "--by", "ana"]


def act(database: ServiceDatabase, *arguments: str) -> Ended:
    """Act on one database."""
    return outbox(*arguments, "--service", "order", **settings(order=database.service_url))


def standing(database: ServiceDatabase) -> list[tuple[str, str]]:
    return execute(database, "SELECT paused_by, reason FROM waybill_relay_pause")


def on_record(database: ServiceDatabase) -> list[tuple[str, str, str]]:
    return execute(database, "SELECT verb, operator, reason FROM waybill_operator_action ORDER BY id")


def test_a_paused_relay_publishes_nothing_and_continues_when_resumed(own_outbox: Outbox):
    own, database = own_outbox, own_outbox.database
    with relay(own) as running, own.connect() as writer:
        append(writer, own.topic, "a", 1)
        own.wait_for_cursor(1)
        assert act(database, "pause", *WHY).code == 0
        running.wait_for("the pause", lambda: "paused: by ana: the broker moves" in (running.unready() or ""))
        append(writer, own.topic, "a", 2)
        assert act(database, "resume", "--by", "ben").code == 0
        own.wait_for_cursor(2)
        assert running.unready() is None
    assert [record.version for record in read_topic(own.kafka, own.topic)] == [1, 2]
    assert on_record(database) == [("pause", "ana", "the broker moves"), ("resume", "ben", "no reason given")]


def test_what_stands_is_told_as_json_and_in_the_status(order_database: ServiceDatabase):
    done = act(order_database, "pause", *WHY, "--json")
    (told,) = done.lines()
    assert (told["service"], told["paused_by"], told["reason"], told["made"]) == (
        "order",
        "ana",
        "the broker moves",
        True,
    )
    (one,) = act(order_database, "status", "--json").lines()
    assert (one["paused_by"], one["paused_for"]) == ("ana", "the broker moves")
    assert one["paused_since"] == told["paused_at"]
    assert "  by ana since 20" in act(order_database, "status").out
    (ended,) = act(order_database, "resume", "--json").lines()
    assert ended["paused_by"] == "ana"
    assert act(order_database, "status", "--json").lines()[0]["paused_by"] is None


def test_a_pause_that_stands_is_not_taken_over(order_database: ServiceDatabase):
    act(order_database, "pause", *WHY)
    again = act(order_database, "pause", "--reason", "another", "--by", "ben")
    assert (again.code, len(again.err.splitlines())) == (1, 1)
    assert "order: paused already by ana since 20" in again.err
    assert standing(order_database) == [("ana", "the broker moves")]
    assert len(on_record(order_database)) == 1


def test_what_is_not_paused_needs_no_resuming(order_database: ServiceDatabase):
    done = act(order_database, "resume")
    assert (done.code, done.out, len(done.err.splitlines())) == (0, "", 1)
    assert "order: was not paused" in done.err
    assert on_record(order_database) == []


def test_what_cannot_be_put_on_record_is_not_done(order_database: ServiceDatabase):
    execute(order_database, "REVOKE INSERT ON waybill_operator_action FROM test_service")
    done = act(order_database, "pause", *WHY)
    assert (done.code, done.out, standing(order_database)) == (4, "", [])
    assert "waybill_operator_action" in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pause", *WHY], "say which service: --service order"),
        (["resume"], "say which service: --service order"),
        (["pause", "--service", "order"], "--reason"),
        (["pause", "--service", "order", "--reason", " "], "it is empty"),
        (["pause", "--service", "billing", *WHY], "no service 'billing'; known are order"),
    ],
)
def test_nothing_is_paused_by_leaving_a_word_out(arguments: list[str], says: str):
    done = outbox(*arguments, **settings(order=AWAY))
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert says in done.err


def test_a_database_that_does_not_answer_is_said_and_the_other_is_paused(order_database: ServiceDatabase):
    places = settings(payment=AWAY, order=order_database.service_url)
    done = outbox("pause", "--service", "payment", "--service", "order", *WHY, **places)
    assert (done.code, len(done.err.splitlines()), standing(order_database)) == (3, 1, [("ana", "the broker moves")])
