"""What a message and a task cost in round trips to PostgreSQL, and what holds where one statement does much at once."""

import socket
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from devstack.harness.databases import ServiceDatabase
from devstack.harness.wait import wait_until
from order_service import domain, models, reactions
from order_service.service import service as orders
from schemas.events import OrderPlaced
from tests.support.inbox import dead_letters, message, process, reserved
from tests.support.orders import place, placed
from waybill.deciders.service import Service, after
from waybill.deciders.unit_of_work import handle
from waybill.inbox import inbox
from waybill.runtime import wake_up
from waybill.runtime.condition import Condition
from waybill.runtime.settings import Settings
from waybill.runtime.threads import Threads
from waybill.tasks import deadlines, worker

ROWS = "SELECT count(*) FROM {}"


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the statements of this thread's session."""
    found: list[str] = []
    with CaptureQueriesContext(connection) as caught:
        yield found
    found += [" ".join(one["sql"].split()) for one in caught]


def verbs(said: list[str]) -> list[str]:
    return [one.split()[0].rstrip(";") for one in said]


def count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(ROWS.format(table))
        return cursor.fetchone()[0]


def cancelling(order: domain.Order, _asked: OrderPlaced, _tried: object) -> domain.CancelOrder:
    return domain.CancelOrder(order_id=order.order_id)


def service(attempt: object) -> Service:
    module = types.ModuleType("task")
    module.attempt = after(OrderPlaced)(attempt)
    return Service("order_service", domain, reactions, models, module)


def test_a_message_takes_six_statements(inventory: ServiceDatabase):
    process(message(placed()))  # the session is there, and its statements are known
    with statements() as said:
        process(message(placed()))
    # Received; stock and reservation locked; both written with the events.
    assert verbs(said) == ["BEGIN", "WITH", "SELECT", "SELECT", "WITH", "COMMIT"], said
    assert reserved() == 4


def test_a_task_takes_six_statements_and_its_end_is_one_with_what_came_of_it(order_database: ServiceDatabase):
    plan = service(cancelling)
    handle(plan, [place()])
    with Threads(1, "attempt") as threads:
        working = worker.Worker(plan, Settings(), threads)
        with statements() as said:
            assert working.start() is False  # nothing else is due
            assert working.settle()
    # Claimed; the row as it is, for the attempt; locked; written with the events and without the due row.
    assert verbs(said) == ["WITH", "SELECT", "BEGIN", "SELECT", "WITH", "COMMIT"], said
    assert "DELETE FROM waybill_due_task" in said[4]
    assert (count("waybill_due_task"), count("waybill_outbox")) == (0, 2)


def test_a_task_of_which_nothing_comes_takes_five_statements(order_database: ServiceDatabase):
    plan = service(lambda *_: None)
    handle(plan, [place()])
    with Threads(1, "attempt") as threads:
        working = worker.Worker(plan, Settings(), threads)
        with statements() as said:
            working.start()
            working.settle()
    assert verbs(said) == ["WITH", "SELECT", "BEGIN", "DELETE", "COMMIT"], said
    assert count("waybill_due_task") == 0


def test_a_new_order_is_one_statement_with_its_event_and_what_is_due(order_database: ServiceDatabase):
    with statements() as said:
        handle(orders, [place()], new=True)
    assert verbs(said) == ["BEGIN", "WITH", "COMMIT"], said
    assert [count(table) for table in ("orders", "waybill_outbox", "waybill_due_task")] == [1, 1, 1]


def test_who_waits_for_a_row_has_taken_no_position(order_database: ServiceDatabase):
    first, second = place(), place()
    handle(orders, [first])
    columns = [field.attname for field in models.OrderRow._meta.concrete_fields]
    copied = ", ".join("%(id)s" if name == "order_id" else name for name in columns)
    with psycopg.connect(order_database.superuser_url) as other:
        made = f"INSERT INTO orders ({', '.join(columns)}) SELECT {copied} FROM orders"
        other.execute(made.encode(), {"id": second.command.order_id})
        thread = threading.Thread(target=lambda: (handle(orders, [second], new=True), connection.close()))
        thread.start()
        with psycopg.connect(order_database.superuser_url, autocommit=True) as watch:

            def waits() -> bool:
                locks = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"
                return watch.execute(locks, [watch.info.dbname]).fetchone() == (1,)

            def last_position() -> int:
                asked = "SELECT last_value FROM pg_sequences WHERE sequencename = 'waybill_outbox_position_seq'"
                found = watch.execute(asked).fetchone()
                assert found is not None
                return found[0]

            wait_until(waits, deadline_seconds=20, what="the other's row is waited for")
            assert last_position() == 1
            other.rollback()
            thread.join(20)
            assert last_position() == 2
    assert count("waybill_outbox") == 2


def test_a_worker_that_took_all_that_was_due_looks_again_when_it_is_told(
    order_database: ServiceDatabase, monkeypatch: pytest.MonkeyPatch
):
    looks, claim = [], deadlines.claim
    monkeypatch.setattr(deadlines, "claim", lambda *given, **more: looks.append(1) or claim(*given, **more))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    told = Settings(worker_wake_up=address, worker_poll_seconds=60)
    monkeypatch.setattr(deadlines, "settings", lambda: told)
    plan, stop = service(cancelling), threading.Event()
    handle(plan, [place()])
    thread = threading.Thread(target=worker.work, args=(plan, told, stop, Condition()))
    thread.start()
    try:
        wait_until(lambda: count("waybill_due_task") == 0, deadline_seconds=20, what="the first look found a row")
        handle(plan, [place()])
        wait_until(lambda: count("waybill_due_task") == 0, deadline_seconds=20, what="the second one as well")
    finally:
        stop.set()
        wake_up.send(address)
        thread.join()
    assert len(looks) == 2


def test_a_message_whose_id_nobody_can_read_still_waits_behind_a_dead_letter_of_its_key(inventory: ServiceDatabase):
    event = placed()
    process(message(event, value=b"no frame"), message(event, event_id="no id"))
    process(message(event, event_id="nor this one"))
    assert [one["reason"].partition(":")[0] for one in dead_letters()] == ["Unreadable", *[inbox.BEHIND] * 2]
    assert reserved() == 0
