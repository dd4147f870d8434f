"""`outbox doctor` finds what is wrong over several databases, most urgent first, each with its next command."""

from uuid import uuid4

import psycopg

from devstack.folder import CHECKOUT
from devstack.harness.databases import ServiceDatabase
from order_service.domain import MarkCharged, MarkReserved
from order_service.service import service as orders
from outbox_relay.operations.diagnosis.doctor import findings
from outbox_relay.operations.diagnosis.finding import RUNBOOK, Problem
from tests.support.dead_letters import dead_letter_pair
from tests.support.orders import cause
from tests.support.outbox_command import AWAY, Ended, execute, join, outbox, place_orders, settings
from tests.support.relays import Outbox, append, relay
from waybill.deciders import unit_of_work
from waybill.deciders.unit_of_work import Caused

LEADS = "UPDATE waybill_outbox_cursor SET heartbeat_at = clock_timestamp() + interval '1 hour'"
JOB = (
    "INSERT INTO waybill_replay_job (id, chosen, first, last, total, sent, created_by, reason)"
    ' VALUES (%s, \'{"topics": {}, "without": "{}", "effects": false}\', 1, 9, 9, 4, \'ana\', \'why\')'
)
REFUSED = (
    "INSERT INTO published (id, version, destination, body, added, expires_at, retry, status, headers) "
    "SELECT gen_random_uuid(), NULL, 'order.events.v1', jsonb_build_object('event_type', 't', 'aggregate_type', 'x', "
    "'aggregate_id', 'a', 'aggregate_version', n, 'position', n), now(), now(), 0, -1, "
    "jsonb_build_object('reason', CASE n WHEN 1 THEN 'too_large' ELSE 'behind' END, 'detail', 'no') "
    "FROM generate_series(1, 3) AS n"
)


def doctor(*arguments: str, **databases: str) -> Ended:
    """Ask these databases; no broker is known."""
    places = settings(**databases)
    del places["WAYBILL_KAFKA_BOOTSTRAP"]
    return outbox("doctor", *arguments, **places)


def found(asked: Ended) -> dict[tuple[str, str | None], dict]:
    return {(one["problem"], one["service"]): one for one in asked.lines()}


def test_what_is_wrong_is_told_most_urgent_first_with_the_next_command(order_database: ServiceDatabase):
    place_orders(2)
    execute(order_database, LEADS)
    execute(order_database, "INSERT INTO waybill_relay_pause (paused_by, reason) VALUES ('ana', 'a move')")
    execute(
        order_database,
        "UPDATE waybill_due_task SET attempts = 3, last_error = 'no answer', first_attempt_at = clock_timestamp(), "
        "attention_since = CASE WHEN id = 1 THEN clock_timestamp() END, way_out = 'call the bank'",
    )
    execute(order_database, JOB, uuid4())
    execute(order_database, REFUSED)
    asked = doctor("--service", "order", "--json", order=order_database.service_url)
    assert asked.code == 1
    told = [(one["problem"], one["count"], one["next"]) for one in asked.lines()]
    assert [(problem, count) for problem, count, _ in told] == [
        ("relay paused", 2),
        ("task needs attention", 1),
        ("publications refused", 3),
        ("tasks failing", 1),
        ("replay stopped", 5),
    ]
    commands = [command for *_, command in told]
    assert commands[0].startswith("outbox resume --service order")
    assert commands[1:4] == [
        "outbox attention --service order",
        "outbox dead-letters --service order --publications --groups",
        "outbox tasks --service order --task expire_order --failing",
    ]
    assert commands[4].startswith("outbox replay --resume ")
    by_problem = {one["problem"]: one for one in asked.lines()}
    assert "1 failed, 2 wait behind them; most often: too_large of t" in by_problem["publications refused"]["says"]
    assert "call the bank" in by_problem["task needs attention"]["says"]
    assert all(one["since"] for one in asked.lines())


def test_dead_letters_are_told_with_what_waits_behind_them(inventory_database: ServiceDatabase):
    execute(inventory_database, LEADS)
    dead_letter_pair()
    asked = doctor("--service", "inventory", "--json", inventory=inventory_database.service_url)
    one = found(asked)["dead letters", "inventory"]
    assert (one["count"], "1 failed, 1 wait behind them" in one["says"]) == (2, True)
    assert one["next"] == "outbox dead-letters --service inventory --messages --groups"


def test_orders_that_wait_are_told_by_what_keeps_them(order_database: ServiceDatabase):
    place_orders(3)
    execute(order_database, LEADS)
    execute(order_database, "INSERT INTO waybill_relay_pause (paused_by, reason) VALUES ('ana', 'a move')")
    early = doctor("--json", order=order_database.service_url)
    assert ("waiting", "order") not in found(early)
    asked = doctor("--usual", "0", "--json", order=order_database.service_url)
    one = found(asked)["waiting", "order"]
    assert (one["count"], one["next"]) == (3, "outbox orders --waiting --why 'relay paused' --at order")
    assert "3 wait for StockReserved or StockRejected: relay paused at order" in one["says"]
    assert list(found(asked))[-1] == ("waiting", "order")


def test_a_database_that_is_away_comes_first_and_the_others_are_told(order_database: ServiceDatabase):
    asked = doctor("--json", order=order_database.service_url, payment=AWAY)
    (first, *others) = asked.lines()
    assert (asked.code, first["problem"], first["service"]) == (3, "database away", "payment")
    assert ("no relay", "order") in {(one["problem"], one["service"]) for one in others}
    assert doctor(order=AWAY).code == 4


def test_a_table_or_column_that_is_not_there_is_no_database_that_is_away(order_database: ServiceDatabase):
    execute(order_database, "ALTER TABLE waybill_replay_job RENAME TO before")
    (_, one) = doctor("--json", order=order_database.service_url, payment=AWAY).lines()
    assert (one["problem"], one["next"]) == ("tables missing", "python -m waybill order_service migrate")
    assert 'relation "waybill_replay_job" does not exist' in one["says"]
    assert RUNBOOK[Problem.TABLES_MISSING] == one["runbook"]
    execute(order_database, "ALTER TABLE before RENAME TO waybill_replay_job")
    execute(order_database, "ALTER TABLE waybill_due_task RENAME COLUMN attempts TO tries")
    assert ("tables missing", "order") in found(doctor("--json", order=order_database.service_url, payment=AWAY))


def test_a_right_that_is_missing_is_told_with_what_grants_it_again(order_database: ServiceDatabase):
    execute(order_database, "REVOKE SELECT ON waybill_dead_letter FROM test_service")
    asked = doctor("--json", order=order_database.service_url, payment=AWAY)
    one = found(asked)["rights missing", "order"]
    assert one["next"] == "python -m waybill order_service migrate"
    assert "permission denied" in one["says"]
    assert asked.code == 4  # of neither is anything known


def test_a_login_that_is_refused_is_told_apart_from_a_server_that_is_away(order_database: ServiceDatabase):
    asked = doctor("--json", order=order_database.service_url.replace(":test@", ":wrong@"), payment=AWAY)
    assert asked.code == 4
    both = doctor(
        "--json", order=order_database.service_url, payment=order_database.service_url.replace(":test@", ":x@")
    )
    assert (both.code, both.lines()[0]["problem"]) == (3, "login refused")


def test_a_statement_that_took_too_long_is_told_as_such_and_the_others_are_told(order_database: ServiceDatabase):
    with (
        psycopg.connect(order_database.superuser_url) as holder,
        psycopg.connect(order_database.service_url, autocommit=True, options="-c statement_timeout=200") as slow,
    ):
        holder.execute("LOCK TABLE waybill_replay_job IN ACCESS EXCLUSIVE MODE")
        (one,) = findings({"order": slow}, {})
        assert (one.problem, one.next) == (Problem.DATABASE_SLOW, "outbox status --service order")
        assert "statement timeout" in one.says
        slow.execute("SET lock_timeout = '50ms'")
        assert [one.problem for one in findings({"order": slow}, {})] == [Problem.DATABASE_SLOW]
        holder.rollback()
        assert Problem.DATABASE_SLOW not in [one.problem for one in findings({"order": slow}, {})]


def test_how_long_a_step_usually_takes_is_measured_on_those_that_went_well(order_database: ServiceDatabase):
    for _ in range(50):
        ends_well()
    execute(order_database, "UPDATE waybill_outbox SET recorded_at = recorded_at - interval '1 hour'")
    place_orders(1)
    execute(order_database, LEADS)
    execute(order_database, "INSERT INTO waybill_relay_pause (paused_by, reason) VALUES ('ana', 'a move')")
    assert ("waiting", "order") not in found(doctor("--json", order=order_database.service_url))
    age = "UPDATE waybill_outbox SET recorded_at = recorded_at - interval '20 seconds' WHERE position = %s"
    (last,) = execute(order_database, "SELECT max(position) FROM waybill_outbox")[0]
    execute(order_database, age, last)
    execute(order_database, "UPDATE orders SET created_at = created_at - interval '20 seconds'")
    one = found(doctor("--json", order=order_database.service_url))["waiting", "order"]
    assert one["count"] == 1
    assert "up to 15 s in PENDING is usual (measured)" in one["says"]


def ends_well() -> None:
    """Take an order to CONFIRMED."""
    (order_id,) = place_orders(1)
    for command in (MarkReserved(order_id=order_id), MarkCharged(order_id=order_id, charge_id="ch_1")):
        unit_of_work.handle(orders, [Caused(command, cause())])


def test_a_consumer_is_behind_by_the_age_of_what_it_has_not_read(own_outbox: Outbox):
    database, group = own_outbox.database, f"behind-{uuid4().hex[:8]}"
    with own_outbox.connect() as writer, relay(own_outbox):
        append(writer, own_outbox.topic, "a", 1)
        own_outbox.wait_for_cursor(1)
    execute(database, "UPDATE waybill_service SET name = %s", group)
    execute(database, "INSERT INTO waybill_reaction (event_type, topic) VALUES ('t', %s)", own_outbox.topic)
    join(own_outbox.kafka, group, own_outbox.topic)
    places = settings(own_outbox.kafka, shop=database.service_url)
    one = found(outbox("doctor", "--service", "shop", "--usual", "0", "--json", **places))["consumer behind", "shop"]
    assert (one["count"], f"{own_outbox.topic}: group {group} has 1 records still to read" in one["says"]) == (1, True)
    assert one["since"]
    assert ("consumer behind", "shop") not in found(outbox("doctor", "--service", "shop", "--json", **places))


def test_every_finding_has_its_entry_in_the_runbook():
    headings = [one[3:] for one in (CHECKOUT / "docs/runbook.md").read_text().splitlines() if one.startswith("## ")]
    anchors = {"".join(c for c in one.lower() if c.isalnum() or c in "- _").replace(" ", "-") for one in headings}
    assert set(RUNBOOK.values()) <= anchors
    assert set(RUNBOOK) == set(Problem)
