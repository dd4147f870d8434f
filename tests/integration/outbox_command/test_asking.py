"""What waits, what was recorded, which dead letters there are: asked with the service's own role."""

import json

import psycopg
import pytest

from devstack.harness.databases import ServiceDatabase
from devstack.services import EVERY
from outbox_relay.operations.events import listing
from outbox_relay.operations.status import NEWEST
from tests.support.outbox_command import AWAY, Ended, execute, outbox, place_orders, settings
from tests.support.relays import append_many


def ask(database: ServiceDatabase, *arguments: str) -> Ended:
    """Ask about one database."""
    return outbox(*arguments, **settings(order=database.service_url))


def test_status_tells_what_waits_above_the_cursor_and_in_its_gaps(order_database: ServiceDatabase):
    place_orders(5)
    execute(order_database, "UPDATE waybill_outbox_cursor SET position = 4, missing = '{1,2}', leader = 'somebody'")
    (one,) = ask(order_database, "status", "--json").lines()
    assert (one["service"], one["position"], one["last"], one["unpublished"]) == ("order", 4, 5, 3)
    assert (one["gaps"], one["leader"]) == ([[1, 2]], "somebody")
    assert 0 < one["oldest_seconds"] < 60


def test_status_leaves_with_1_once_an_event_waits_longer_than_the_threshold(order_database: ServiceDatabase):
    place_orders(1)
    execute(order_database, "UPDATE waybill_outbox_cursor SET heartbeat_at = clock_timestamp() + interval '1 minute'")
    late = ask(order_database, "status", "--threshold", "0")
    assert (late.code, "order: the oldest unpublished event has waited" in late.err) == (1, True)
    assert ask(order_database, "status", "--threshold", "600").code == 0
    execute(order_database, "UPDATE waybill_outbox_cursor SET position = 1")
    assert ask(order_database, "status", "--threshold", "0").code == 0


def test_status_tells_how_fast_events_came_in_the_last_minute(order_database: ServiceDatabase):
    assert ask(order_database, "status", "--json").lines()[0]["events_a_second"] == 0
    place_orders(6)
    execute(
        order_database, "UPDATE waybill_outbox SET recorded_at = recorded_at - interval '2 minutes' WHERE position < 3"
    )
    assert ask(order_database, "status", "--json").lines()[0]["events_a_second"] == round(4 / 60, 2)


def test_where_a_minute_holds_more_than_is_looked_at_the_rate_is_of_what_is_looked_at(order_database: ServiceDatabase):
    spread = (
        "UPDATE waybill_outbox "
        f"SET recorded_at = clock_timestamp() - interval '10 s' * ({NEWEST} - position) / {NEWEST}"
    )
    with psycopg.connect(order_database.superuser_url, autocommit=True) as writer:
        append_many(writer, "t", NEWEST)
        writer.execute(spread)
    rate = ask(order_database, "status", "--json").lines()[0]["events_a_second"]
    assert NEWEST / 40 < rate <= NEWEST / 10


def test_status_tells_of_replays_that_are_not_finished(order_database: ServiceDatabase):
    for finished in ("NULL", "now()", "NULL"):
        execute(
            order_database,
            "INSERT INTO waybill_replay_job (id, chosen, first, last, total, created_by, reason, finished_at)"
            f" VALUES (gen_random_uuid(), '{{}}', 1, 1, 1, 'ana', 'why', {finished})",
        )
    assert ask(order_database, "status", "--json").lines()[0]["jobs"] == 2


def test_filters_combine(order_database: ServiceDatabase):
    ids = place_orders(4)
    wanted = ["--type", "OrderPlaced", "--since", "1h", "--json"]
    found = ask(order_database, "list", "--aggregate", f"order/{ids[1]}", *wanted).lines()
    assert [(e["aggregate_id"], e["aggregate_version"]) for e in found] == [(str(ids[1]), 1)]
    assert [e["position"] for e in ask(order_database, "list", "--positions", "2..3", *wanted).lines()] == [2, 3]
    assert ask(order_database, "list", "--positions", "1", "--aggregate", str(ids[1]), *wanted).lines() == []
    assert ask(order_database, "list", "--type", "OrderConfirmed").out == ""
    assert ask(order_database, "list", "--until", "1h").out == ""
    event_id = found[0]["event_id"]
    assert [e["position"] for e in ask(order_database, "list", "--event", event_id, "--json").lines()] == [2]


def test_a_limit_keeps_the_newest_and_says_that_there_are_more(order_database: ServiceDatabase):
    place_orders(4)
    done = ask(order_database, "list", "--limit", "2", "--json")
    assert [event["position"] for event in done.lines()] == [3, 4]
    assert "order: the newest 2" in done.err


def test_an_event_is_shown_decoded_with_its_causes_and_where_it_stands(order_database: ServiceDatabase):
    (order_id,) = place_orders(1)
    event_id = str(execute(order_database, "SELECT event_id FROM waybill_outbox")[0][0])
    (event,) = ask(order_database, "show", event_id, "--json").lines()
    assert event["payload"]["order_id"] == str(order_id)
    assert event["payload"]["lines"] == [{"sku": "LAMP", "quantity": 2, "unit_price": 1999}]
    assert event["metadata"]["correlation_id"]
    assert event["standing"] == "waiting"
    execute(order_database, "UPDATE waybill_outbox_cursor SET position = 1")
    plain = ask(order_database, "show", event_id).out
    assert "    customer_id: ann\n" in plain
    assert "  standing: published\n" in plain


def test_an_event_that_is_nowhere_is_said_to_be(order_database: ServiceDatabase):
    done = ask(order_database, "show", "0198c0de-7000-7000-8000-000000000001")
    assert (done.code, done.out) == (1, "")
    assert "no event 0198c0de" in done.err


def test_both_kinds_of_dead_letters_are_listed_with_the_reason(order_database: ServiceDatabase):
    publication = {
        "position": 7,
        "aggregate_id": "a",
        "aggregate_version": 3,
        "event_type": "waybill.order.OrderPlaced",
    }
    execute(
        order_database,
        "INSERT INTO published (id, destination, body, added, expires_at, retry, status, headers)"
        " VALUES (gen_random_uuid(), 't', %s, now(), now(), 0, -1, %s)",
        json.dumps(publication),
        json.dumps({"reason": "too_large", "detail": "9 bytes"}),
    )
    message = {"topic": "u", "key": "b", "place": "u/0/12", "reason": "Unreadable: broken", "record": {"ce_type": "x"}}
    execute(
        order_database,
        "INSERT INTO received (id, msg_id, headers, added, expires_at, retry, status)"
        " VALUES (gen_random_uuid(), 'order_service:1', %s, now(), now(), 0, -1)",
        json.dumps(message),
    )
    found = ask(order_database, "dead-letters", "--json").lines()
    assert [(one["kind"], one["key"], one["version"], one["place"], one["reason"]) for one in found] == [
        ("publication", "a", 3, "position 7", "too_large: 9 bytes"),
        ("message", "b", None, "u/0/12", "Unreadable: broken"),
    ]
    assert [(one["partition"], one["offset"], one["position"]) for one in found] == [(None, None, 7), (0, 12, None)]
    assert all(0 <= one["age_seconds"] < 60 for one in found)
    for filters in (["--key", "b"], ["--type", "x"], ["--reason-contains", "Unread"], ["--topic", "u"], ["--messages"]):
        assert [one["key"] for one in ask(order_database, "dead-letters", "--json", *filters).lines()] == ["b"]
    assert ask(order_database, "dead-letters", "--json", "--key", "b", "--type", "y").lines() == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["list", "--type", "OrderPlacd"], "no event type 'OrderPlacd'; known are OrderPlaced"),
        (["tail", "--type", "OrderPlacd"], "no event type 'OrderPlacd'; known are OrderPlaced"),
        (["list", "--positions", "9..7"], "'9..7': the range is empty"),
        (["list", "--since", "yesterday"], "'yesterday' is no time; write 2026-"),
        (["list", "--event", "12"], "'12' is no event id"),
        (["list", "--aggregate", "orders/1"], "no aggregate type 'orders'; known are "),
        (["list", "--aggregate", ""], "argument --aggregate: it is empty"),
        (["list", "--service", "billing"], "no service 'billing'; known are order"),
    ],
)
def test_a_wrong_filter_is_one_line_that_names_it(arguments: list[str], says: str):
    done = outbox(*arguments, **settings(order=AWAY))
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert says in done.err


def test_a_database_that_does_not_answer_costs_its_own_answer_only(order_database: ServiceDatabase):
    place_orders(1)
    partly = outbox("list", **settings(payment=AWAY, order=order_database.service_url))
    assert (partly.code, len(partly.out.splitlines())) == (3, 2)
    assert partly.err.startswith("outbox: database payment: ")
    away = outbox("status", **settings(order=AWAY))
    assert (away.code, away.out, len(away.err.splitlines())) == (4, "", 1)


def test_nothing_to_ask_is_said_with_the_remedy(tmp_path):
    done = outbox("status", WAYBILL_HOME=str(tmp_path))
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "WAYBILL_OUTBOX_DATABASES" in done.err


def test_the_local_stack_is_found_by_its_folder(stack):
    done = outbox("status", "--json", WAYBILL_HOME=str(stack.home))
    assert done.code == 0, done.err
    assert {one["service"] for one in done.lines()} == set(EVERY)


def test_what_needs_attention_is_counted_and_listed_with_reason_and_remediation(order_database: ServiceDatabase):
    place_orders(3)
    assert ask(order_database, "attention", "--json").lines() == []
    marked = "attention_since = clock_timestamp(), attempts = 7, last_error = 'no answer', way_out = 'ring them up'"
    execute(order_database, f"UPDATE waybill_due_task SET {marked} WHERE id = (SELECT min(id) FROM waybill_due_task)")
    (one,) = ask(order_database, "attention", "--json").lines()
    (order,) = execute(order_database, "SELECT aggregate_id FROM waybill_outbox WHERE position = 1")
    assert one["aggregate"] == f"order/{order[0]}"
    assert (one["service"], one["task"], one["attempts"]) == ("order", "expire_order", 7)
    assert (one["reason"], one["remediation"]) == ("no answer", "ring them up")
    assert ask(order_database, "status", "--json").lines()[0]["attention"] == 1


def test_a_time_is_found_by_position_and_reads_no_whole_table(order_database: ServiceDatabase):
    rows = 40_000
    with psycopg.connect(order_database.superuser_url, autocommit=True) as session:
        append_many(session, "t", rows)
        session.execute("UPDATE waybill_outbox SET recorded_at = now() - interval '1 s' * (%s - position)", (rows,))
        session.execute("VACUUM ANALYZE waybill_outbox")
        for wanted in (
            listing.Filter(since=listing.moment("5m")),
            listing.Filter(since=listing.moment("3h"), until=listing.moment("2h")),
            listing.Filter(until=listing.moment("10h"), event_types=("waybill.order.OrderPlaced",)),
        ):
            values = listing.narrowed(session, wanted).values() | {"service": "order", "limit": 50}
            plan = "\n".join(line for (line,) in session.execute(f"EXPLAIN {listing.NEWEST}", values))
            assert "Index Scan Backward using waybill_outbox_pkey" in plan
            assert "Seq Scan" not in plan
            assert min(values["last"], rows) - max(values["first"], 1) < rows - 1_000
    found = ask(order_database, "list", "--since", "5m", "--limit", "1000", "--json").lines()
    assert 150 < len(found) <= 300  # the test itself takes a while
    early = ask(order_database, "list", "--until", "10h", "--limit", "2", "--json").lines()
    assert rows - 36_000 - 60 < early[-1]["position"] <= rows - 35_500
