"""What is due is done, tried again after its backoff, and never dropped."""

import threading
import types
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection

from chassis import worker
from chassis.outcomes import Unavailable
from chassis.service import Service, after
from chassis.settings import Settings
from chassis.unit_of_work import handle
from order_service import domain, models, reactions
from schemas.events import OrderPlaced
from tests.support.orders import place
from tests.support.wait import wait_until

FAST = Settings(retry_seconds=0.01, worker_poll_seconds=0.01)


def service(attempt):
    """The order service with another task: `attempt` is due once an order is placed."""
    module = types.ModuleType("task")
    module.attempt = after(OrderPlaced)(attempt)
    return Service("order_service", domain, reactions, models, module)


@contextmanager
def working(plan):
    stop = threading.Event()
    thread = threading.Thread(target=worker.work, args=(plan, FAST, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def due():
    with connection.cursor() as cursor:
        cursor.execute("SELECT attempts, last_error FROM due")
        return cursor.fetchall()


def status(order_id):
    return models.OrderRow.objects.get(pk=order_id).status


@pytest.fixture
def calls():
    return []


def test_what_came_of_an_attempt_commits_with_the_end_of_its_due_row(order_database, calls):
    def attempt(order, asked):
        assert not connection.in_atomic_block
        calls.append((order.status, asked))
        return domain.CancelOrder(order_id=order.order_id)

    placed = place()
    order_id = placed.command.order_id
    plan = service(attempt)
    handle(plan, [placed])
    assert due() == [(0, None)]
    with working(plan):
        wait_until(lambda: due() == [], deadline_seconds=20, what="nothing is due")
    assert status(order_id) == "CANCELLING"
    ((seen, asked),) = calls
    assert seen == "PENDING"
    assert asked.order_id == order_id


def test_an_attempt_that_the_world_fails_is_made_again(order_database, calls):
    def attempt(order, asked):
        calls.append(asked)
        if len(calls) < 3:
            raise Unavailable("the provider is away")
        return domain.CancelOrder(order_id=order.order_id)

    plan = service(attempt)
    handle(plan, [place()])
    with working(plan):
        wait_until(lambda: due() == [], deadline_seconds=20, what="nothing is due")
    assert len(calls) == 3


def test_an_attempt_with_a_defect_keeps_its_due_row_and_says_why(order_database, calls):
    def attempt(order, asked):
        calls.append(asked)
        raise ValueError("a defect")

    plan = service(attempt)
    handle(plan, [place()])
    with working(plan):
        wait_until(lambda: len(calls) > 1, deadline_seconds=20, what="tried again")
    ((attempts, last_error),) = due()
    assert attempts >= 2
    assert "a defect" in last_error


def test_one_refused_outcome_does_not_hold_back_the_others(order_database, calls):
    def attempt(order, asked):
        if not calls:
            calls.append(order.order_id)
        if order.order_id == calls[0]:
            return domain.MarkCharged(order_id=order.order_id, charge_id="ch_1")
        return domain.CancelOrder(order_id=order.order_id)

    orders = [place() for _ in range(5)]
    plan = service(attempt)
    handle(plan, orders)
    with working(plan):
        wait_until(lambda: len(due()) == 1, deadline_seconds=20, what="all but one are done")
    ended = [status(caused.command.order_id) for caused in orders]
    assert (ended.count("CANCELLING"), ended.count("PENDING")) == (4, 1)


def test_an_answer_is_kept_while_the_database_is_away(order_database, calls):
    def attempt(order, asked):
        with psycopg.connect(order_database.superuser_url, autocommit=True) as server:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'test_service'"
                " AND datname = current_database()"
            )
        calls.append(order.order_id)
        return domain.CancelOrder(order_id=order.order_id)

    placed = place()
    plan = service(attempt)
    handle(plan, [placed])
    connection.close()
    with working(plan):
        wait_until(lambda: calls, deadline_seconds=20, what="attempted")
        wait_until(
            lambda: status(placed.command.order_id) == "CANCELLING", deadline_seconds=20, what="the answer is recorded"
        )
    assert len(calls) == 1
