"""`outbox tail` shows every event as it is committed, once, whatever the sequence in which positions become visible."""

import itertools
import random
import threading
from pathlib import Path

import psycopg
import pytest

from devstack.harness.databases import ServiceDatabase
from tests.support.outbox_command import AWAY, Running, execute, outbox, place_orders, settings
from tests.support.relays import EVENT_TYPE, append

AGED = f"""
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type,
                            schema_version, payload, metadata, recorded_at)
SELECT gen_random_uuid(), 't', 'order', i::text, 1, '{EVENT_TYPE}', 1, 'x', '{{}}',
       now() - (3000 - i) * interval '1 minute'
FROM generate_series(1, 3000) AS i
"""


def tail(database: ServiceDatabase, folder: Path, *arguments: str) -> Running:
    """Follow one database; returns once it is followed."""
    running = Running(folder, "tail", "--json", *arguments, **settings(order=database.service_url))
    try:
        running.wait_for("the start", lambda: "following order" in running.err)
    except AssertionError:
        running.__exit__()
        raise
    return running


def write(database: ServiceDatabase, aggregate: str) -> psycopg.Connection:
    """Take a position in a transaction that stays open."""
    writer = psycopg.connect(database.superuser_url)
    append(writer, "t", aggregate, 1)
    return writer


def test_what_is_committed_from_now_on_is_shown_decoded(order_database: ServiceDatabase, tmp_path: Path):
    place_orders(2)
    with tail(order_database, tmp_path) as running:
        ids = place_orders(2)
        running.wait_for("two events", lambda: len(running.positions()) == 2)
        assert [line["position"] for line in running.lines()] == [3, 4]
        assert [line["payload"]["order_id"] for line in running.lines()] == [str(one) for one in ids]


def test_filters_hold_for_what_is_followed(order_database: ServiceDatabase, tmp_path: Path):
    with (
        tail(order_database, tmp_path, "--aggregate", "order/b", "--type", "OrderPlaced") as running,
        psycopg.connect(order_database.service_url, autocommit=True) as writer,
    ):
        append(writer, "t", "a", 1)
        append(writer, "t", "b", 1, event_type="waybill.order.OrderConfirmed")
        append(writer, "t", "b", 2)
        running.wait_for("the event that is meant", lambda: running.positions() == [3])


def test_a_position_that_becomes_visible_after_a_later_one_is_shown(order_database: ServiceDatabase, tmp_path: Path):
    with write(order_database, "before the start") as first:
        place_orders(1)
        with tail(order_database, tmp_path) as running, write(order_database, "late") as second:
            with write(order_database, "never") as third:
                place_orders(1)
                running.wait_for("the later one", lambda: running.positions() == [5])
                third.rollback()
            second.commit()
            running.wait_for("the late one", lambda: running.positions() == [5, 3])
            first.commit()
            running.wait_for("the one from before the start", lambda: running.positions() == [5, 3, 1])
            place_orders(1)
            running.wait_for("the next one", lambda: running.positions() == [5, 3, 1, 6])


def test_nothing_is_left_out_or_shown_twice_while_many_write(order_database: ServiceDatabase, tmp_path: Path):
    seed, stop = random.randrange(10**6), threading.Event()

    def write_on(number: int) -> None:
        chance = random.Random(seed + number)
        with psycopg.connect(order_database.superuser_url) as writer:
            for turn in itertools.count():
                for step in range(chance.randrange(1, 4)):
                    append(writer, "t", f"{number}/{turn}/{step}", 1)
                    stop.wait(chance.random() * 0.02)
                (writer.rollback if chance.random() < 0.2 else writer.commit)()
                if stop.is_set():
                    return

    with tail(order_database, tmp_path) as running:
        writers = [threading.Thread(target=write_on, args=(number,)) for number in range(8)]
        for writer in writers:
            writer.start()
        try:
            running.wait_for("a thousand", lambda: len(running.positions()) > 1_000, deadline_seconds=30)
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        committed = [position for (position,) in execute(order_database, "SELECT position FROM waybill_outbox")]
        running.wait_for(f"all, seed {seed}", lambda: len(running.positions()) >= len(committed))
        shown = running.positions()
    assert sorted(shown) == sorted(committed), f"seed {seed}"
    assert shown != sorted(shown), f"no late one: the experiment is too tame; seed {seed}"


def test_a_database_that_goes_away_is_said_once_and_nothing_is_left_out(
    order_database: ServiceDatabase, tmp_path: Path
):
    name = order_database.name
    with tail(order_database, tmp_path) as running, write(order_database, "late") as late:
        place_orders(1)
        running.wait_for("an event", lambda: running.positions() == [2])
        execute(order_database, f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC, test_service")
        execute(
            order_database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'outbox' AND datname = current_database()",
        )
        running.wait_for("the news", lambda: "trying again" in running.err)
        late.commit()
        with psycopg.connect(order_database.superuser_url, autocommit=True) as writer:
            append(writer, "t", "meanwhile", 1)
        execute(order_database, f"GRANT CONNECT ON DATABASE {name} TO test_service")
        running.wait_for("what was committed meanwhile", lambda: running.positions() == [2, 1, 3])
        assert running.err.count("trying again") == 1
        assert running.err.count("database order: is back") == 1


def test_history_is_shown_first_from_a_time_on(order_database: ServiceDatabase, tmp_path: Path):
    execute(order_database, AGED)
    with tail(order_database, tmp_path, "--since", "1d") as running:
        place_orders(1)
        running.wait_for("the last day", lambda: running.positions()[-1:] == [3001])
        assert running.positions() == list(range(running.positions()[0], 3002))
        assert abs(running.positions()[0] - (3000 - 24 * 60)) <= 2


def test_history_is_shown_first_from_a_position_on(order_database: ServiceDatabase, tmp_path: Path):
    execute(order_database, AGED)
    with tail(order_database, tmp_path, "--positions", "500..") as running:
        running.wait_for("all of it", lambda: running.positions() == list(range(500, 3001)))


def test_it_ends_with_ctrl_c_and_130(order_database: ServiceDatabase, tmp_path: Path):
    with tail(order_database, tmp_path) as running:
        ended = running.interrupt()
    assert (ended.code, ended.out) == (130, "")


def test_a_table_has_its_columns_named_first(order_database: ServiceDatabase, tmp_path: Path):
    with Running(tmp_path, "tail", **settings(order=order_database.service_url)) as running:
        running.wait_for("the start", lambda: "following order" in running.err)
        (order_id,) = place_orders(1)
        running.wait_for("the event", lambda: str(order_id) in (tmp_path / "out").read_text())
        header, event = running.interrupt().out.splitlines()
    assert header.split() == ["SERVICE", "POSITION", "RECORDED_AT", "AGGREGATE", "VERSION", "TYPE", "EVENT_ID"]
    assert header.index("TYPE") == event.index("OrderPlaced")


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_databases_that_are_all_away_leave_with_4(arguments: list[str]):
    done = outbox("tail", *arguments, **settings(order=AWAY, payment=AWAY))
    assert (done.code, len(done.err.splitlines())) == (4, 1)
    assert "database order: " in done.err
    assert "database payment: " in done.err


def test_one_database_that_is_away_costs_the_others_nothing(order_database: ServiceDatabase, tmp_path: Path):
    places = settings(payment=AWAY, order=order_database.service_url)
    with Running(tmp_path, "tail", "--json", **places) as running:
        running.wait_for("the start", lambda: "following order;" in running.err)
        assert "database payment: " in running.err
        place_orders(1)
        running.wait_for("the event", lambda: running.positions() == [1])
