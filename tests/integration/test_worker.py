"""What is due is done, tried again after its backoff, and never dropped."""

import socket
import threading
import time
import types
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from django.db import connection

from devstack.harness.wait import wait_until
from order_service import domain, models, reactions
from schemas.events import OrderPlaced
from tests.support.orders import place
from waybill.database.side_session import SideSession
from waybill.deciders.outcomes import NeedsAttention, NotAttempted, OutcomeUnknown, RetryLater, Unavailable
from waybill.deciders.service import Service, after
from waybill.deciders.unit_of_work import handle
from waybill.observability import exposure, metrics
from waybill.observability.sampling import Sampler
from waybill.runtime import outside, wake_up
from waybill.runtime.condition import Condition
from waybill.runtime.settings import Settings
from waybill.runtime.threads import Threads
from waybill.tasks import deadlines, worker

FAST = Settings(retry_seconds=0.01, worker_poll_seconds=0.01)


def service(*attempts, remediation="", long_retries=False):
    """The order service with other tasks: each of `attempts` is due once an order is placed."""
    module = types.ModuleType("task")
    for attempt in attempts:
        setattr(
            module, attempt.__name__, after(OrderPlaced, remediation=remediation, long_retries=long_retries)(attempt)
        )
    return Service("order_service", domain, reactions, models, module)


@contextmanager
def working(plan, **settings):
    stop = threading.Event()
    told = FAST.model_copy(update=settings)
    thread = threading.Thread(target=worker.work, args=(plan, told, stop, Condition()))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        wake_up.send(told.worker_wake_up)
        thread.join()


def due():
    with connection.cursor() as cursor:
        cursor.execute("SELECT attempts, last_error FROM waybill_due_task")
        return cursor.fetchall()


def status(order_id):
    return models.OrderRow.objects.get(pk=order_id).status


def attention():
    with connection.cursor() as cursor:
        cursor.execute("SELECT way_out, last_error FROM waybill_due_task WHERE attention_since IS NOT NULL")
        return cursor.fetchall()


@pytest.fixture
def calls():
    return []


def test_what_came_of_an_attempt_commits_with_the_end_of_its_due_row(order_database, calls):
    def attempt(order, asked, tried):
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
    def attempt(order, asked, tried):
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
    def attempt(order, asked, tried):
        calls.append(asked)
        raise ValueError("a defect")

    plan = service(attempt)
    handle(plan, [place()])
    with working(plan):
        wait_until(lambda: len(calls) > 1, deadline_seconds=20, what="tried again")
    ((attempts, last_error),) = due()
    assert attempts >= 2
    assert "a defect" in last_error


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("UPDATE waybill_outbox SET payload = '\\x00' WHERE aggregate_id = %s", "cannot be read"),
        ("DELETE FROM orders WHERE order_id::text = %s", "has no row"),
    ],
    ids=["an event that cannot be read", "an aggregate without a row"],
)
def test_a_due_row_that_cannot_begin_needs_attention_at_once_and_holds_back_no_other(
    order_database, calls, damage, reason
):
    def attempt(order, asked, tried):
        calls.append(asked.aggregate_id)

    broken, *healthy = (place() for _ in range(3))
    plan = service(attempt, remediation="compare the records")
    handle(plan, [broken, *healthy])
    with psycopg.connect(order_database.superuser_url, autocommit=True) as superuser:
        superuser.execute(damage, [str(broken.command.order_id)])
    with working(plan):
        wait_until(lambda: len(due()) == 1 and due()[0][0] > 2, deadline_seconds=20, what="the others done")
    assert sorted(calls) == sorted(str(one.command.order_id) for one in healthy)
    ((remedy, error),) = attention()
    assert reason in error
    assert remedy == worker.FIX_THE_ERROR


def test_one_refused_outcome_does_not_hold_back_the_others(order_database, calls):
    def attempt(order, asked, tried):
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
    def attempt(order, asked, tried):
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


def test_what_only_an_operator_can_end_is_marked_tried_on_and_the_mark_goes_when_it_succeeds(order_database, calls):
    marks = []

    def attempt(order, asked, tried):
        calls.append(asked)
        if len(calls) < 3:
            raise NeedsAttention("another amount was charged")
        marks.extend(attention())
        marks.append(deadlines.marked("order", [asked.aggregate_id, "another"]))
        connection.close()  # this thread's own

    plan = service(attempt, remediation="compare the records")
    placed = place()
    handle(plan, [placed])
    with working(plan):
        wait_until(lambda: due() == [], deadline_seconds=20, what="nothing is due")
    (remediation, error), marked = marks
    assert (remediation, "another amount was charged" in error) == ("compare the records", True)
    assert marked == {str(placed.command.order_id)}
    assert attention() == []


def test_what_the_environment_fails_needs_attention_only_once_it_is_too_late(order_database, calls):
    def attempt(order, asked, tried):
        calls.append(tried)
        raise Unavailable("the mail server is away")

    plan = service(attempt)
    handle(plan, [place()])
    with working(plan):
        wait_until(lambda: len(calls) > 2, deadline_seconds=20, what="tried again")
    assert attention() == []
    with working(plan, attention_after=timedelta(0)):
        wait_until(attention, deadline_seconds=20, what="marked")
    ((remediation, error),) = attention()
    assert "fix what the error names" in remediation
    assert "the mail server is away" in error


def test_an_alert_can_see_how_long_something_has_needed_attention(order_database, calls):
    def attempt(order, asked, tried):
        raise NeedsAttention("nobody knows")

    plan = service(attempt)
    handle(plan, [place()])
    with working(plan):
        wait_until(attention, deadline_seconds=20, what="marked")
    metrics.expose("worker", exposure.label_sets(plan))
    session = SideSession(order_database.service_url, "test")
    Sampler(plan.name, session, exposure.questions("worker", plan)).refresh()
    assert metrics.metric("worker_attention_seconds", task="attempt")._value.get() > 0
    assert metrics.metric("worker_due_oldest_seconds", task="attempt")._value.get() > 0
    assert metrics.metric("worker_due", task="attempt")._value.get() == 1


def test_a_task_with_long_retries_calls_nobody_while_it_fails_and_is_late_only_where_nobody_attempts_it(
    order_database, calls
):
    def attempt(order, asked, tried):
        calls.append(tried.times)
        raise RetryLater("http_500", seconds=0.01 if tried.times < 3 else 3600)

    plan = service(attempt, long_retries=True)
    handle(plan, [place()])
    metrics.expose("worker", exposure.label_sets(plan))
    session = SideSession(order_database.service_url, "test")

    def seen():
        Sampler(plan.name, session, exposure.questions("worker", plan)).refresh()
        return [
            metrics.metric(name, task="attempt")._value.get() for name in ("worker_due", "worker_due_oldest_seconds")
        ]

    late, seconds = seen()
    assert late == 1
    assert seconds > 0
    with working(plan, attention_after=timedelta(0)):
        wait_until(lambda: due() == [(3, "http_500")], deadline_seconds=20, what="put off for an hour")
    assert calls == [1, 2, 3]
    assert attention() == []
    assert seen() == [0, 0]


def test_an_attempt_knows_how_often_and_how_long_it_was_tried_and_whether_it_may_only_look_up(order_database, calls):
    def attempt(order, asked, tried):
        calls.append(tried)
        if tried.times == 1:
            raise Unavailable("no answer")
        if tried.times == 2:
            raise OutcomeUnknown("the stored answer is an error")
        if tried.times == 3:
            raise Unavailable("no answer")

    plan = service(attempt)
    handle(plan, [place()])
    with working(plan):
        wait_until(lambda: due() == [], deadline_seconds=20, what="nothing is due")
    assert [(tried.times, tried.look_up_only) for tried in calls] == [(1, False), (2, False), (3, True), (4, True)]
    assert calls[0].seconds < calls[1].seconds < calls[2].seconds < calls[3].seconds


def test_an_attempt_that_was_not_made_counts_as_none(order_database, calls):
    def attempt(order, asked, tried):
        calls.append(tried)
        if len(calls) < 4:
            raise NotAttempted("the breaker is open", seconds=0.01)

    plan = service(attempt)
    handle(plan, [place()])
    with working(plan):
        wait_until(lambda: due() == [], deadline_seconds=20, what="nothing is due")
    assert [tried.times for tried in calls] == [1, 1, 1, 1]


def test_a_task_that_hangs_leaves_the_others_their_threads(order_database, calls):
    release = threading.Event()

    def hang(order, asked, tried):
        release.wait(20)

    def go_on(order, asked, tried):
        calls.append(asked.order_id)

    plan = service(hang, go_on)
    orders = [place() for _ in range(6)]
    handle(plan, orders)
    with working(plan, worker_threads=2):
        try:
            wait_until(lambda: len(calls) == 6, deadline_seconds=15, what="all of the healthy task are done")
            assert not release.is_set()
        finally:
            release.set()
        wait_until(lambda: due() == [], deadline_seconds=20, what="nothing is due")


def test_a_worker_that_stops_waits_quietly_for_what_hangs():
    release = threading.Event()
    with Threads(2, "attempt") as threads:
        stopping = worker.Worker(service(), FAST, threads)
        hanging, quick = threads.submit(release.wait, 20), threads.submit(int)
        stopping.begun = [quick]
        stopping.under_way = dict.fromkeys([hanging])
        started = time.monotonic()
        assert all(stopping.settle() for _ in range(4))
        waited = time.monotonic() - started
        release.set()
    assert waited >= 3 * worker.TOGETHER_SECONDS  # all but the first, which has an answer


def test_a_worker_that_is_told_to_stop_leaves_behind_what_hangs(order_database, calls, monkeypatch):
    monkeypatch.setattr(worker, "STOP_SECONDS", 0.5)
    release = threading.Event()

    def hang(order, asked, tried):
        calls.append(asked)
        release.wait(60)

    plan = service(hang)
    handle(plan, [place()])
    with working(plan):
        wait_until(lambda: calls, deadline_seconds=20, what="the attempt is under way")
        stopped_at = time.monotonic()
    assert time.monotonic() - stopped_at < 10
    release.set()
    ((attempts, _),) = due()
    assert attempts == 1, "the row is due again after its lease"


def test_an_attempt_has_one_deadline_for_all_that_it_calls(order_database, calls):
    def attempt(order, asked, tried):
        calls.append(outside.left())

    plan = service(attempt)
    handle(plan, [place()])
    with working(plan, worker_attempt_seconds=7):
        wait_until(lambda: due() == [], deadline_seconds=20, what="nothing is due")
    assert 6 < calls[0] <= 7


def test_a_wake_up_signal_wakes_a_worker_that_would_look_again_in_a_minute(order_database, calls, monkeypatch):
    def attempt(order, _asked, _tried):
        calls.append(order.order_id)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(deadlines, "settings", lambda: FAST.model_copy(update={"worker_wake_up": address}))
    plan = service(attempt)
    handle(plan, [place()])
    with working(plan, worker_wake_up=address, worker_poll_seconds=60):
        wait_until(lambda: len(calls) == 1 and due() == [], deadline_seconds=20, what="the first look found a row")
        handle(plan, [place()])
        wait_until(lambda: len(calls) == 2, deadline_seconds=20, what="the wake-up signal ended the wait")
